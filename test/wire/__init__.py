"""What goes over the wire, for random arguments and answers, judged by the API document."""
