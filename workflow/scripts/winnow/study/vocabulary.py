"""Words of the domain that several modules show or look up."""

RUNTIMES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO", "torch": "torch eager"}
SCORED = ("onnxruntime", "openvino")  # runtimes that every file is scored in; all numbers are ONNX Runtime's
KEYS = ["dataset", "model", "seed", "run", "precision"]
AXES = ["criterion", "scope", "structure", "ratio", "rounds", "rewind", "shuffle"]
DENSE = "dense"
PRECISIONS = ("fp32", "dynamic", "ptq", "qat")
