"""The wire: who may connect, for how long, under which name, and how what they send is kept within bounds."""
