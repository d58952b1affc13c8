"""routed_rl: scalable oversight by gradient routing.

`__init__.pyi` lists the public names. Each is imported when it is first asked for, so that `import
routed_rl` needs no torch.
"""

import importlib.util
import sys
from pathlib import Path

import lazy_loader

__version__ = "0.2.0.dev0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def _reach(folder: str) -> None:
    """Let a folder beside the package, as a checkout has it, be imported as a part of it.

    In a wheel it lies inside the package, where Python finds it.
    """
    here = Path(__file__).resolve().parent
    name = f"{__name__}.{folder}"
    file = here.parent / folder / "__init__.py"
    if (here / folder).is_dir() or not file.exists():
        return
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    globals()[folder] = module


_reach("envs")
_reach("agents")
