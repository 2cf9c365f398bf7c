"""The Open Inference Protocol, version 2: every model answers it, with no step of deployment."""
