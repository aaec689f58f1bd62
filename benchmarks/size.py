"""How large the product is: lines (Python, JavaScript, CSS, HTML and templates) and statements, by package.

    python benchmarks/size.py [ROOT] [--json FILE]

Statements are counted in the syntax tree (``ast.stmt``), so that formatting and comments do not move them.
"""

from __future__ import annotations

import argparse
import ast
import json
from pathlib import Path

PACKAGES = ("celltrail", "data", "segmentation", "tracking", "evaluation", "dashboard")
KINDS = (".py", ".js", ".css", ".html", ".j2")


def size(package: Path) -> tuple[int, int]:
    """Lines of product code and Python statements below a folder."""
    texts = {path: path.read_text(encoding="utf-8") for path in package.rglob("*") if path.suffix in KINDS}
    lines = sum(len(text.splitlines()) for text in texts.values())
    trees = (ast.parse(text) for path, text in texts.items() if path.suffix == ".py")
    return lines, sum(isinstance(node, ast.stmt) for tree in trees for node in ast.walk(tree))


def main() -> None:
    """Print the table and, on request, write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", nargs="?", type=Path, default=Path(__file__).parents[1])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    sizes = {package: size(arguments.root / package) for package in PACKAGES}
    sizes["all"] = (sum(lines for lines, _ in sizes.values()), sum(number for _, number in sizes.values()))
    print(f"{'package':14}{'lines':>8}{'statements':>12}")
    for name, (lines, statements) in sizes.items():
        print(f"{name:14}{lines:8}{statements:12}")
    if arguments.json:
        table = {name: {"lines": lines, "statements": number} for name, (lines, number) in sizes.items()}
        arguments.json.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
