"""fpu/report/metrics.py: every metric is known once, and found in a record."""

from fake_records import m, record

from fpu.report import metrics


def test_a_metric_has_one_entry_and_one_column():
    places = [(metric.section, metric.key) for metric in metrics.METRICS]
    columns = [metric.column for metric in metrics.COLUMNS]
    assert (len(set(places)), len(set(columns))) == (len(places), len(columns))


def test_every_metric_of_a_record_is_read_from_its_place():
    run = record()
    for section in (metrics.FIDELITY, metrics.UTILITY):
        for row in ("synthetic", "members"):
            for key, value in run[section[0]].get(row, {}).items():
                metric = metrics.find(section, key)
                assert metric in metrics.METRICS
                assert metric.read(run, row) is value
    run["privacy"]["distance_to_closest_record"] = {"ks": m(0.3, 0.1)}
    assert metrics.find(metrics.DISTANCES, "ks").read(run, None)["value"] == 0.3
    assert metrics.find(metrics.ATTACKS, "advantage").read(run, "loss")["value"] == 0.05


def test_a_metric_that_nobody_registered_is_called_by_its_key():
    metric = metrics.find(metrics.FIDELITY, "my_metric")
    assert (metric.label, metric.axis, metric.better) == ("my metric", "fidelity", "")
