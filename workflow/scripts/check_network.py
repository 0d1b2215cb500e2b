"""check_network: a study's demands on a network, each tried once with random weights -> check.json."""

from adapter import job
from winnow.check.feasibility import check_network, raise_failures, summary
from winnow.config.settings import CheckSettings
from winnow.data.dataset import load_dataset
from winnow.files import write_json

with job(snakemake) as run:
    settings = CheckSettings.of(snakemake.params.request)
    findings = check_network(settings, load_dataset(snakemake.input.data), run)
    place = {"dataset": snakemake.wildcards.dataset, "model": snakemake.wildcards.model}
    write_json(snakemake.output.report, place | summary(findings))
    raise_failures(findings)
