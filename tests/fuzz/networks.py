"""What a run leaves to be loaded: checkpoints, and policies that were exported."""

from __future__ import annotations

import io
import json
import pickle
import tempfile
from pathlib import Path
from typing import Any

import torch
from calls import NO_COMMIT, Target, call, write
from guard import Broken, watching
from hypothesis import strategies as st
from run_folders import FILES
from safetensors import safe_open
from safetensors.torch import save
from strategies import changed, spoilt, values

from routed_rl.models.export import export, load_policy
from routed_rl.training.run import load
from routed_rl.utils.errors import UserError


class Code:
    """What would write into another folder, were it unpickled."""

    def __reduce__(self) -> Any:
        return (Path.mkdir, (Path("../unpickled"),))

    def __deepcopy__(self, _: Any) -> Code:
        return self


NAN, INF = float("nan"), float("inf")
TENSORS = (
    *(torch.zeros(0), torch.zeros(1), torch.ones(8), torch.tensor(NAN), torch.full((8,), INF)),
    *(torch.zeros(36, 8), torch.zeros(16, 3), torch.zeros(16, 3, dtype=torch.int64)),
    *(torch.full((16, 3), 99), torch.full((16, 3), -1), torch.full((16, 2), NAN), torch.zeros(16)),
    *(torch.zeros(8, dtype=torch.bool), torch.zeros(8, dtype=torch.complex64)),
    *(torch.zeros(5056, dtype=torch.uint8), torch.zeros(16, 4, 3, 3), torch.zeros(3, 16)),
    *(torch.zeros(2, 2).to_sparse(), torch.empty(10**12, device="meta"), torch.zeros(16).long()),
    *(torch.full((16, 4, 3, 3), NAN), torch.full((3, 16), 2**62), torch.full((16,), 10**9)),
)
tensors = st.sampled_from(TENSORS)


def _pt(state: Any) -> bytes:
    """Save as torch does."""
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


_LAST = FILES["checkpoints/last.pt"]
_STATE = torch.load(io.BytesIO(_LAST), weights_only=True)
_CODES = (_pt(Code()), pickle.dumps(Code()), b"", _pt([_STATE]), _pt({"agent": Code()}), _pt(None))
checkpoints = st.one_of(
    changed(_STATE, _pt, tensors),
    changed(_STATE, _pt, values | st.just(Code())),
    spoilt(_LAST),
    st.sampled_from(_CODES),
)
USES = (("evaluate", "one"), ("train", "--resume", "one", "--steps", "1152", "--no-page"))


def try_checkpoint(drawn: tuple[tuple[str, ...], Any]) -> None:
    """Evaluate a checkpoint, or go on from it."""
    use, data = drawn
    write(FILES | {"checkpoints/last.pt": data}, "one")
    call(*use, folder="one")


def _exported() -> dict[str, Any]:
    """Export a policy; return its tensors and its spec."""
    with tempfile.TemporaryDirectory() as folder:
        write(FILES, f"{folder}/one")
        path = Path(folder) / "x.safetensors"
        export(load(f"{folder}/one").deploy(), path)
        with safe_open(path, framework="pt") as file:
            names = file.keys()  # it is no dict
            found = {name: file.get_tensor(name) for name in names}
            return {"tensors": found, "spec": json.loads(file.metadata()["policy_spec"])}


def _safetensors(plain: Any) -> bytes:
    """Write tensors and a spec, or nothing where they are none."""
    if not isinstance(plain, dict):
        return b""
    try:
        return save(plain["tensors"], metadata={"policy_spec": json.dumps(plain["spec"])})
    except Exception:  # whatever that library says of what are no tensors
        return b""


_EXPORTED = _exported()


def _with_spec(spec: Any) -> bytes:
    """Write the tensors as they were, with another spec."""
    return _safetensors(_EXPORTED | {"spec": spec})


policies = st.one_of(
    changed(_EXPORTED, _safetensors, tensors),
    changed(_EXPORTED["spec"], _with_spec),
    spoilt(_safetensors(_EXPORTED)),
)


def try_policy(data: Any) -> None:
    """Load a policy, and let it act if it can be loaded."""
    write({"x.safetensors": data})
    with watching(Path()):
        try:
            load_policy("x.safetensors")
        except UserError as error:
            if len(str(error).splitlines()) != 1:
                raise Broken(f"an error of more than one line: {error}") from None


TARGETS = (
    Target(
        "checkpoint", st.tuples(st.sampled_from(USES), checkpoints), try_checkpoint, 30, NO_COMMIT
    ),
    Target("policy", policies, try_policy, 250),
)
