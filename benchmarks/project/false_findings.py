"""What the search for secrets reports in checkouts of public repositories, where nearly every finding is a false one.

    python benchmarks/project/false_findings.py CHECKOUT ...

Every file is searched, those too that a run would leave out of the image. Each finding is printed with its line, so
that a reader decides what it is: a public repository may hold a real key.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from stat import S_ISREG

from prefect_vertex_training.project.files.contents import read_contents
from prefect_vertex_training.project.files.project_file import ProjectFile, project_file
from prefect_vertex_training.project.secrets.file_names import kinds_by_name


def files_of(root: Path) -> list[ProjectFile]:
    """All files of a checkout but those of git itself."""
    found = ((path, path.lstat()) for path in sorted(root.rglob("*")) if ".git" not in path.relative_to(root).parts)
    return [
        project_file(str(path.relative_to(root)), str(path), status)
        for path, status in found
        if S_ISREG(status.st_mode)
    ]


def shown(root: Path, path: str, line: int) -> str:
    """The beginning of the line of a finding; nothing for a member of a binary file."""
    if not line:
        return ""
    lines = (root / path).read_bytes().split(b"\n")
    return lines[line - 1][:160].decode("utf-8", "replace").strip() if line <= len(lines) else ""


def main() -> int:
    """Prints the findings of each checkout, and how many checkouts have any."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkouts", type=Path, nargs="+")
    with_findings = count = size = 0
    checkouts: list[Path] = parser.parse_args().checkouts
    for root in checkouts:
        files = files_of(root)
        findings = read_contents(files, root).findings
        named = dict(kinds_by_name([file.path for file in files]))
        with_findings += bool(findings or named)
        count, size = count + len(files), size + sum(file.size for file in files)
        for path, kind in named.items():
            print(f"{root.name}: {path}: {kind}, by its name")
        for path, found in findings.items():
            for finding in found:
                print(f"{root.name}: {path}:{finding.line}: {finding.kind}: {shown(root, path, finding.line)}")
    print(f"{len(checkouts)} checkouts, {count:,} files, {size / 1e6:,.0f} MB; {with_findings} have findings")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
