"""Words of the domain that several modules show or look up.

Imported by the Snakefile, so it must not import torch.
"""

RUNTIMES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO", "torch": "torch eager"}
SCORED = ("onnxruntime", "openvino")  # runtimes that every file is scored in; all numbers are ONNX Runtime's
