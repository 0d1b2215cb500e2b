rule quantize_dynamic:
    input:
        onnx=f"{RUN}/fp32/model.onnx",
    output:
        onnx=f"{RUN}/dynamic/model.onnx",
    log:
        f"{LOGS}/quantize_dynamic/{{dataset}}/{{model}}/seed{{seed}}/{{run}}.log",
    benchmark:
        f"{LOGS}/quantize_dynamic/{{dataset}}/{{model}}/seed{{seed}}/{{run}}.tsv"
    conda:
        "../envs/winnow.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(15),
    params:
        source=lambda wildcards: source_digest("quantize_dynamic"),
    script:
        "../scripts/quantize_dynamic.py"


rule calibrate:
    input:
        data=rules.prepare_dataset.output.data,
        weights=f"{RUN}/weights.safetensors",
    output:
        onnx=f"{RUN}/ptq/model.onnx",
    log:
        f"{LOGS}/calibrate/{{dataset}}/{{model}}/seed{{seed}}/{{run}}.log",
    benchmark:
        f"{LOGS}/calibrate/{{dataset}}/{{model}}/seed{{seed}}/{{run}}.tsv"
    conda:
        "../envs/winnow.yaml"
    threads: 1
    resources:
        mem_mb=growing(8000),
        runtime=growing(30),
    params:
        normalization=normalization_of,
        model=lookup(dpath="{model}", within=STUDY.models),
        ptq=STUDY.ptq,
        source=lambda wildcards: source_digest("calibrate"),
    script:
        "../scripts/calibrate.py"


rule train_quantized:
    input:
        checked=rules.check_network.output.report,
        data=rules.prepare_dataset.output.data,
        weights=f"{RUN}/weights.safetensors",
        record=f"{RUN}/training.json",
        masks=masks_of,
        imported=imported,
    output:
        onnx=f"{RUN}/qat/model.onnx",
        float=f"{RUN}/qat/float.onnx",
        history=f"{RUN}/qat/history.csv",
        record=f"{RUN}/qat/training.json",
    log:
        f"{LOGS}/train_quantized/{{dataset}}/{{model}}/seed{{seed}}/{{run}}.log",
    benchmark:
        f"{LOGS}/train_quantized/{{dataset}}/{{model}}/seed{{seed}}/{{run}}.tsv"
    conda:
        "../envs/winnow.yaml"
    threads: 4
    resources:
        mem_mb=growing(8000),
        runtime=growing(480),
        gpu=GPUS,
    params:
        normalization=normalization_of,
        request=lambda wildcards, input: request_of(wildcards, methods=[QAT], strategies={}),
        model=lookup(dpath="{model}", within=STUDY.models),
        qat=lookup(dpath="{model}", within=STUDY.qat),
        tdp_watts=STUDY.benchmark["tdp_watts"],
        source=lambda wildcards: source_digest("train_quantized"),
    script:
        "../scripts/train_quantized.py"
