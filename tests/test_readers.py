"""Whatever is in a file that the project has written, reading it gives what it said or says so.

Files are damaged as disks and people do: bits flipped, cut, overwritten; and, where a checksum does
not stand before them, values of other types.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench_lr import recorded
from bench_lr.checkpoint import unfinished
from bench_lr.claims import conf_roots, load_claims
from bench_lr.identity import run_ids
from bench_lr.judge import judge
from bench_lr.multiruns import multiruns, standing
from bench_lr.plan import load_job, make_plan, save_plan
from bench_lr.progress import Watch, note_name
from bench_lr.record_index import verdict_shown
from bench_lr.report.markdown import as_markdown
from bench_lr.report.verdicts_json import as_json as as_contract
from bench_lr.schema import Claim
from bench_lr.store import Commit, Store, StoreError
from bench_lr.tables import Reader, TableError, encode
from bench_lr.verdict import ClaimVerdict
from tests import tiny
from tests.mutations import damaged, mutated
from tests.stored import RUN, begin, commit, fill, run, simple

EXAMPLES = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
KEYS = ("run_id", "commits", "provenance", "done", "pid", "jobs", "check", "x")


@pytest.fixture(scope="module")
def claim(tmp_path_factory: pytest.TempPathFactory) -> Claim:
    root = tiny.folder(tmp_path_factory.mktemp("conf"))
    (found,) = load_claims(["me/true"], roots=[root, *conf_roots()])
    return found


@pytest.fixture(scope="module")
def whole(claim: Claim, tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("whole") / "store")
    accuracy = {"lr=0.5": 0.9, "lr=1e-06": 0.1}
    fill(store, claim, accuracy=lambda arm, epoch, seed: accuracy[arm] + 0.001 * seed)
    return store


@pytest.fixture
def copy_of(whole: Store, tmp_path: Path) -> Iterator[Store]:
    yield Store(tmp_path / "store")
    shutil.rmtree(tmp_path, ignore_errors=True)


@contextlib.contextmanager
def told(path: Path, kind: type[Exception]) -> Iterator[None]:
    """Let an error pass that names the file."""
    try:
        yield
    except kind as error:
        if str(path) not in str(error):
            raise


def as_json(content: Any) -> bytes:
    return json.dumps(content).encode()


def copied(whole: Store, copy: Store) -> Store:
    shutil.rmtree(copy.root, ignore_errors=True)
    shutil.copytree(whole.root, copy.root)
    return copy


def conclusion(verdict: ClaimVerdict) -> Any:
    numbers = [(it.result.verdict, it.result.estimate, it.result.ci) for it in verdict.criteria]
    return verdict.verdict, numbers


@EXAMPLES
@given(data=st.data())
def test_damage_to_a_store_leaves_the_verdict_or_makes_it_incomplete_until_the_next_run(
    data: st.DataObject, whole: Store, copy_of: Store, claim: Claim
) -> None:
    store = copied(whole, copy_of)
    files = sorted(path for path in store.root.rglob("*") if path.is_file())
    for path in data.draw(st.lists(st.sampled_from(files), min_size=1, max_size=3, unique=True)):
        before = path.read_bytes()
        content = data.draw(damaged(before))
        path.write_bytes(content)
    identities = run_ids(run for arm in claim.arms for run in arm.runs)
    lost = set(store.lacking(identities))
    verdict = judge(claim, store)
    expected = judge(claim, whole)
    assert expected.verdict == "reproduced"
    assert verdict.verdict == "incomplete" if lost else conclusion(verdict) == conclusion(expected)
    # What is there is what was stored, commit and all.
    for identity in set(identities) - lost:
        assert store.content(identity) == whole.content(identity)
    make_plan([claim], store, 16)


@EXAMPLES
@given(data=st.data())
def test_a_commit_of_other_types_is_damage(
    data: st.DataObject, whole: Store, copy_of: Store, claim: Claim
) -> None:
    store = copied(whole, copy_of)
    path = data.draw(st.sampled_from(sorted((store.root / "commits").rglob("*.json"))))
    said = json.loads(path.read_bytes())
    # Older versions have written no checksum, so this cannot be asked for.
    said.pop("check")
    path.write_text(json.dumps(data.draw(mutated([said], keys=KEYS))))
    verdict = judge(claim, store)
    assert verdict.verdict in ("incomplete", "reproduced")
    expected = conclusion(judge(claim, whole))
    assert verdict.verdict == "incomplete" or conclusion(verdict) == expected
    make_plan([claim], store, 16)


WRONG = ["x", -1, 10**400, 1e300, True, None, [], {}, [1], {"a": []}]
FIELDS = [*Commit.__dataclass_fields__, *(f"provenance.{name}" for name in commit(RUN).provenance)]


@pytest.mark.parametrize("field", FIELDS)
def test_whatever_a_field_of_a_commit_is_a_verdict_can_be_had(
    field: str, whole: Store, copy_of: Store, claim: Claim
) -> None:
    store = copied(whole, copy_of)
    path = next((store.root / "commits").rglob("*.json"))
    for value in WRONG:
        said = json.loads((whole.root / path.relative_to(store.root)).read_bytes())
        del said["check"]
        *outer, last = field.split(".")
        (said[outer[0]] if outer else said)[last] = value
        path.write_bytes(as_json(said))
        verdict = judge(claim, store)
        assert verdict.verdict in ("incomplete", "reproduced")
        as_markdown([verdict], "quick")
        as_json(as_contract([verdict], "quick"))


def test_a_commit_without_a_checksum_of_its_own_is_taken(whole: Store, copy_of: Store) -> None:
    store = copied(whole, copy_of)
    for path in (store.root / "commits").rglob("*.json"):
        said = json.loads(path.read_bytes())
        assert len(said.pop("check")) == 64
        path.write_text(json.dumps(said))
    assert store.lacking(whole.known()) == []
    assert all(store.content(it) == whole.content(it) for it in whole.known())


def test_every_flipped_bit_of_a_commit_is_found(whole: Store, copy_of: Store) -> None:
    store = copied(whole, copy_of)
    path = next((store.root / "commits").rglob("*.json"))
    content = path.read_bytes()
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        found = store.commit_of(path.stem)
        assert found is None or found == whole.commit_of(path.stem)


COLUMNS_OF_OTHERS: dict[str, Any] = {
    "no values": lambda table: table.drop(columns="value"),
    "no steps": lambda table: table.drop(columns="step"),
    "steps in words": lambda table: table.assign(step="one"),
    "gaps in the steps": lambda table: table.assign(step=table.step.where(table.step < 0)),
    "values in words": lambda table: table.assign(value="high"),
    "metrics in numbers": lambda table: table.assign(metric=1),
    "gaps in the metrics": lambda table: table.assign(metric=None),
    "lists": lambda table: table.assign(value=[[1.0]] * len(table)),
    "times": lambda table: table.assign(epoch=pd.Timestamp("2020-01-01")),
}


@pytest.mark.parametrize("name", COLUMNS_OF_OTHERS)
def test_what_is_no_runs_table_is_damage_although_its_checksum_is_right(
    name: str, whole: Store, copy_of: Store, claim: Claim, caplog: pytest.LogCaptureFixture
) -> None:
    store = copied(whole, copy_of)
    identity = next(iter(whole.known()))
    table = COLUMNS_OF_OTHERS[name](pd.read_parquet(io.BytesIO(whole.content(identity)[1])))
    put_as_it_is(store, identity, table)
    assert judge(claim, store).verdict == "incomplete"
    assert f"{identity}.parquet is not the table of a run" in caplog.text
    assert store.lacking([identity]) == [identity]


def put_as_it_is(store: Store, identity: str, table: pd.DataFrame) -> None:
    """Store a table with its checksum, whatever is in it."""
    import hashlib

    path = store.root / "runs" / identity[:2] / f"{identity}.parquet"
    table.to_parquet(path, index=False)
    marker = store.root / "commits" / identity[:2] / f"{identity}.json"
    said = json.loads(marker.read_bytes())
    said.pop("check")
    said["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    marker.write_text(json.dumps(said))


@EXAMPLES
@given(content=damaged(encode(simple(run(0)))))
def test_a_damaged_table_is_refused_or_has_as_many_rows_as_values(content: bytes) -> None:
    reader = Reader()
    reader.read(encode(simple(run(1))))
    try:
        moments, values = reader.read(content)
    except TableError:
        return
    assert len(values) == 8 * len(moments)


@EXAMPLES
@given(data=st.data())
def test_a_list_of_pending_commits_is_finished_or_named(
    data: st.DataObject, whole: Store, copy_of: Store
) -> None:
    store = copied(whole, copy_of)
    commits = [whole.commit_of(it) for it in sorted(whole.known())[:3]]
    said = {"commits": [vars(it) for it in commits if it is not None]}
    plain = json.dumps(said).encode()
    content = data.draw(st.one_of(damaged(plain), mutated([said], keys=KEYS).map(as_json)))
    (store.root / "pending").mkdir()
    (store.root / "pending" / "a.json").write_bytes(content)
    for it in commits:
        assert it is not None
        (store.root / "commits" / it.run_id[:2] / f"{it.run_id}.json").unlink()
    store.recover()
    assert not list((store.root / "pending").iterdir())
    for identity in store.known():
        found, expected = store.content(identity), whole.content(identity)
        assert found is None or (expected is not None and found[1] == expected[1])
    outside = [
        path for path in store.root.rglob("*") if len(path.relative_to(store.root).parts) > 3
    ]
    assert not outside


@EXAMPLES
@given(data=st.data())
def test_a_damaged_checkpoint_does_not_keep_a_plan_from_being_made(
    data: st.DataObject, copy_of: Store, claim: Claim
) -> None:
    shutil.rmtree(copy_of.root, ignore_errors=True)
    runs = claim.arms[0].runs[:3]
    begin(copy_of, runs)
    (path,) = (copy_of.root / "unfinished").iterdir()
    header = json.loads(path.read_bytes())
    twice = {**header, "run_ids": header["run_ids"] * 2}
    changed = mutated([header, twice], keys=KEYS).map(as_json)
    path.write_bytes(data.draw(st.one_of(damaged(path.read_bytes()), changed)))
    unfinished(copy_of)
    plan = make_plan([claim], copy_of, 16)
    assert sorted(it for job in plan.jobs for it in job.run_ids) == sorted(
        run_ids(run for arm in claim.arms for run in arm.runs)
    )


@EXAMPLES
@given(data=st.data())
def test_a_damaged_plan_is_refused_by_name_and_never_trains_under_another_name(
    data: st.DataObject, tmp_path: Path, claim: Claim
) -> None:
    folder = tmp_path / "jobs" / "now"
    shutil.rmtree(folder, ignore_errors=True)
    store = Store(tmp_path / "store")
    plan = make_plan([claim], store, 16)
    file = save_plan(plan, folder, launcher="local", store=store)
    job = folder / "jobs" / "0.json"
    for path in (file, job, folder / note_name(0)):
        said: Any = {"done": 0.5, "pid": 1} if path.name == note_name(0) else None
        said = said or json.loads(path.read_bytes())
        plain = json.dumps(said).encode()
        other = mutated([said], keys=KEYS).map(as_json)
        path.write_bytes(data.draw(st.one_of(st.just(plain), damaged(plain), other)))
    with told(job, StoreError):
        found = load_job(file, 0)
        assert sum(found.cohorts) == len(found.runs)
    for multirun in multiruns(tmp_path):
        there = standing(multirun)
        counts = (there.done, there.failed, there.running, there.queued, there.missing)
        assert sum(counts) == multirun.jobs
    status = Watch(plan, store, folder).status(1.0)
    assert 0 <= status.share <= 1


RECORDED = sorted(path.parent for path in recorded.folder().glob("*/*/verdict.json"))


@EXAMPLES
@given(data=st.data())
def test_a_damaged_record_is_refused_by_name_or_read(data: st.DataObject, tmp_path: Path) -> None:
    source = data.draw(st.sampled_from(RECORDED[:12]))
    name = f"{source.parent.name}/{source.name}"
    content = (source / "verdict.json").read_bytes()
    other = mutated([json.loads(content)], keys=KEYS).map(as_json)
    path = tmp_path / name / "verdict.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.draw(st.one_of(damaged(content), other)))
    word, _ = verdict_shown(name, tmp_path)
    assert isinstance(word, str)
    (claim,) = load_claims([name])
    with told(path, recorded.RecordError):
        recorded.verdict_of(claim, tmp_path)
        recorded.deviations(claim, tmp_path)


def test_commits_say_the_same_when_written_and_read(copy_of: Store) -> None:
    one = run(0)
    identity = run_ids([one])[0]
    given = Commit(identity, "diverged", {"lr": 0.1}, {"seconds": 1.5}, diverged_at=3, error="é\n")
    copy_of.put(given, simple(one))
    found = copy_of.commit_of(identity)
    assert found is not None
    assert {**vars(found), "sha256": ""} == vars(given)
