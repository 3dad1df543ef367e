"""Turns trained models into ONNX files and proves that they predict the same, apart from the platform like a script."""
