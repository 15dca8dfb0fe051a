"""ONNX in and out: a model becomes a text in the language and values; a trained network becomes a model."""
