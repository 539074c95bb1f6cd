"""Arrays in, matplotlib axes out."""
