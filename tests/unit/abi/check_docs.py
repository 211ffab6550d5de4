#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Do the tables of docs/abi say what abi/*.h says?

    check_docs.py SOURCE_ROOT

The pages are written from the specification, the headers by hand: whatever both state, they must
state alike. Compared are command numbers, struct sizes, the offset and width of every field, the
value of every constant in a table, and the size table of dispatch.md. Links and the tests that a
page names must exist.
"""
import pathlib
import re
import sys

WIDTH = {"u8": 1, "u16": 2, "u32": 4, "s32": 4, "u64": 8}
STRUCT_OF = {"GET_HW_INFO": "iommu_hw_info", "FAULT_QUEUE_ALLOC": "iommu_fault_alloc"}


def read_headers(root):
    """Return (constants, struct sizes, {struct: {field: (offset, width)}})."""
    consts, sizes, fields = {}, {}, {}
    for name in ("iommufd", "vfio"):
        text = (root / "abi" / (name + ".h")).read_text()
        text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
        for m in re.finditer(r"^#define (\w+)[ \t]+(\S.*)$|^\t(\w+) = (.*),\s*$", text, re.M):
            value = (m.group(2) or m.group(4)).strip()
            value = re.sub(r"ABI_\w+_CMD\((\w+)\)", r"(0x3b00 | \1)", value)
            value = re.sub(r"\b(0x[0-9a-f]+|\d+)u\b", r"\1", value)
            if re.fullmatch(r"[0-9a-fx()| <]+", value):
                consts[m.group(1) or m.group(3)] = eval(value)  # digits and operators only
        for m in re.finditer(r"^ABI_SIZE\((\w+), (\d+)\);", text, re.M):
            sizes[m.group(1)] = int(m.group(2))
        for m in re.finditer(r"^ABI_(?:FIELD|TAIL)\((\w+), (\w+), (\d+)(?:, (\d+))?\);", text, re.M):
            fields.setdefault(m.group(1), {})[m.group(2)] = (int(m.group(3)), int(m.group(4) or 0))
    return consts, sizes, fields


def width_of(ctype):
    base, array = re.fullmatch(r"(\w+)(?:\[(\d*)\])?", ctype).groups()
    if array is None:
        return WIDTH[base]
    return WIDTH[base] * int(array) if array else 0


def check_page(page, consts, sizes, fields, wrong):
    struct, seen, done = None, {}, 0

    def close():
        for f in set(fields.get(struct, {})) - set(seen):
            wrong.append("%s: struct %s.%s is missing" % (page.name, struct, f))

    for line in page.read_text().splitlines():
        m = re.match(r"`struct (\w+)`, (\d+) bytes", line)
        if m:
            close()
            struct, seen = m.group(1), {}
            done += 1
            if sizes.get(struct) != int(m.group(2)):
                wrong.append("%s: struct %s has %s bytes" % (page.name, struct, sizes.get(struct)))
        m = re.match(r"\| (\d+) \| ([us]\d+(?:\[\d*\])?) \| `(\w+)` \|", line)
        if m:
            seen[m.group(3)] = (int(m.group(1)), width_of(m.group(2)))
            done += 1
            if fields.get(struct, {}).get(m.group(3)) != seen[m.group(3)]:
                wrong.append("%s: struct %s.%s is at %s" % (
                    page.name, struct, m.group(3), fields.get(struct, {}).get(m.group(3))))
        m = re.match(r"(?:Command: |\| )`([A-Z]\w+)`(?:, `\w+`)?(?: \||,) (0x[0-9A-Fa-f]+|\d+)\b", line)
        if m:
            done += 1
            if consts.get(m.group(1)) != int(m.group(2), 0):
                wrong.append("%s: %s is %s" % (page.name, m.group(1), consts.get(m.group(1))))
        for command, least, full in re.findall(r"([A-Z_]{6,}) \| (\d+) \| (\d+) \|", line):
            tag = STRUCT_OF.get(command, "iommu_" + command.lower())
            done += 1
            if sizes.get(tag) != int(full) or int(least) > int(full):
                wrong.append("%s: %s has %s bytes" % (page.name, command, sizes.get(tag)))
    close()
    return done


def main():
    root = pathlib.Path(sys.argv[1])
    headers, wrong, done = read_headers(root), [], 0
    pages = sorted((root / "docs" / "abi").glob("*.md"))
    index = (root / "docs" / "abi" / "README.md").read_text()
    for page in pages:
        done += check_page(page, *headers, wrong)
        if page.name != "README.md" and "(%s)" % page.name not in index:
            wrong.append("%s: not in README.md" % page.name)
        for link in re.findall(r"\]\(([\w.]+)\)", page.read_text()):
            if not (page.parent / link).exists():
                wrong.append("%s: link to %s leads nowhere" % (page.name, link))
        for folder, names in re.findall(r"`(tests/[\w/]+)`\s+\(([\w, ]+)\)", page.read_text()):
            files = [f.stem for f in (root / folder).glob("*")]
            for name in names.split(", "):
                if " " not in name and not any(f in (name, "test_" + name) for f in files):
                    wrong.append("%s: %s has no test %s" % (page.name, folder, name))
    for line in wrong:
        print(line, file=sys.stderr)
    print("%d statements of %d pages compared, %d wrong" % (done, len(pages), len(wrong)))
    sys.exit(1 if wrong or not done else 0)


main()
