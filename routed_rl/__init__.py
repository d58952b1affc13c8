"""routed_rl: scalable oversight by gradient routing.

`__init__.pyi` lists the public names. Each is imported when it is first asked for, so that `import
routed_rl` needs no torch.
"""

from pathlib import Path

import lazy_loader

__version__ = "0.2.0.dev0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

_ROOT = Path(__file__).resolve().parents[1]
if (_ROOT / "envs").is_dir() and not (Path(__file__).parent / "envs").is_dir():
    # In a checkout envs/ and agents/ lie beside the package, in a wheel inside it. This lets them
    # be imported as routed_rl.envs and routed_rl.agents in both.
    __path__.append(str(_ROOT))
