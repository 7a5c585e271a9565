"""The API's operations. Each group is a class, each operation a method with the operation's id."""
