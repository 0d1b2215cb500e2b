rule prepare_dataset:
    input:
        raw=ancient(raw_images),
    output:
        data=f"{DATA}/{{dataset}}.safetensors",
    log:
        f"{LOGS}/prepare_dataset/{{dataset}}.log",
    benchmark:
        f"{LOGS}/prepare_dataset/{{dataset}}.tsv"
    conda:
        "../envs/winnow.yaml"
    threads: 4
    resources:
        mem_mb=growing(8000),
        runtime=growing(720),
    params:
        dataset=lookup(dpath="{dataset}", within=STUDY.datasets),
        definition=lookup(dpath="{dataset}", within=STUDY.definitions),
        images=images_of,
        source=source_of_images,
    script:
        "../scripts/prepare_dataset.py"
