"""The words of Keras, scikit-learn, PyTorch and others, and what they are called here."""
