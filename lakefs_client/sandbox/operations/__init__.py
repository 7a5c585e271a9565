"""The API's operations, a class a group, with a method for each that the sandbox carries out."""
