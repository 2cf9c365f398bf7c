"""What chainrule-server does when it is told to; heavy imports stay inside of each command."""
