#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Which items of an ABI header of ours does the installed Linux header have?

    make_lists.py OURS.h linux/NAME.h INCLUDE_DIR|'' ALL.h COMMON.h UNKNOWN.h -- CC [ARG]...

Writes X-macro lists: ALL.h with every struct, field and constant that OURS.h declares; COMMON.h
with those that the Linux header declares too; UNKNOWN.h with what only the Linux header declares
(names that begin with the prefixes below). A missing Linux header gives an empty COMMON.h. Reading
the preprocessed text rather than asking for a version keeps distribution backports right.
"""
import re
import subprocess
import sys

PREFIXES = {"iommufd": ("IOMMU", "iommu"), "vfio": ("VFIO", "vfio"), "pci": ()}


def fields(body):
    """Yield (name, is_flexible_array) for each member, through anonymous structs and unions."""
    body = re.sub(r"__attribute__\s*\(\(.*?\)\)\)?", "", body)  # __aligned_u64 carries one
    for decl in re.split(r"[;{}]", body):
        if re.search(r"\b(struct|union)\s*$", decl):
            continue
        m = re.search(r"(\w+)\s*(\[\w*\])?\s*(?:__counted_by\s*\(\w+\))?$", decl.strip())
        if m:
            yield m.group(1), (m.group(2) or "").replace(" ", "") == "[]"


def parse(text):
    """Return ({struct: {field: is_flexible}}, {constant: is_string}, [[enumerator]]) of C text."""
    structs, consts, enums = {}, {}, []
    for m in re.finditer(r"^struct (\w+)\s*\{\n(.*?)^\};", text, re.S | re.M):
        body = re.sub(r"^\s*#.*?(?<!\\)$", "", m.group(2), flags=re.M | re.S)
        structs[m.group(1)] = dict(fields(body))
    for m in re.finditer(r"^[ \t]*#\s*define (\w+)[ \t]+(\S.*)$", text, re.M):
        consts[m.group(1)] = '"' in m.group(2)
    for m in re.finditer(r"^enum[^{;]*\{(.*?)\};", text, re.S | re.M):
        enums.append(re.findall(r"(\w+)\s*(?:=[^,]*)?(?:,|$)", m.group(1).strip()))
        consts.update((name, False) for name in enums[-1])
    return structs, consts, enums


def linux_text(header, incdir, cc):
    """The header after preprocessing, macros kept, without what it includes; '' if absent."""
    cmd = cc + ["-E", "-dD", "-x", "c"] + (["-I", incdir] if incdir else []) + ["-"]
    run = subprocess.run(cmd, input="#include <%s>\n" % header, capture_output=True, text=True)
    if run.returncode:
        return ""
    out, inside = [], False
    for line in run.stdout.splitlines():
        m = re.match(r'# \d+ "(.*?)"', line)
        if m:
            inside = m.group(1).endswith(header)
        elif inside:
            out.append(line)
    return "\n".join(out) + "\n"


def main():
    ours, header, incdir, out_all, out_common, out_unknown = sys.argv[1:7]
    cc = sys.argv[sys.argv.index("--") + 1:]
    room = re.sub(r".*/(\w+)\.h$", r"\1", ours)
    text = re.sub(r"/\*.*?\*/", "", open(ours).read(), flags=re.S)
    our_structs, our_consts, our_enums = parse(text)
    lin_structs, lin_consts, _ = parse(linux_text(header, incdir, cc))
    # What an older header has under the same name but with another meaning: the count at the end
    # of an enum that grew, and the padding of a struct in which some of it got a name.
    grew = {n for e in our_enums if any(o not in lin_consts for o in e) for n in e
            if re.search(r"_(NUM_\w+|NR)$", n)}

    every, common = [], []

    def item(line, there):
        every.append(line)
        if there:
            common.append(line)

    for name, is_string in our_consts.items():
        if not name.startswith("ABI_"):
            item("LIST_%s(%s)" % ("STRING" if is_string else "CONST", name), name in lin_consts and name not in grew)
    for tag, members in our_structs.items():
        theirs = lin_structs.get(tag, {})
        whole = bool(theirs) and all(f in theirs for f in members)
        item("LIST_STRUCT(%s)" % tag, whole)
        for field, flexible in members.items():
            there = field in theirs and (whole or not re.search("reserved|resv|pad", field))
            item("LIST_%s(%s, %s)" % ("TAIL" if flexible else "FIELD", tag, field), there)
            if not re.search(r"^ABI_(FIELD|TAIL)\(%s, %s," % (tag, field), text, re.M):
                sys.exit("%s: struct %s.%s has no layout assertion" % (ours, tag, field))

    unknown = [n for n in lin_consts if n not in our_consts and n.startswith(PREFIXES[room])]
    for tag, members in lin_structs.items():
        unknown += ["%s.%s" % (tag, f) for f in members if f not in our_structs.get(tag, {})
                    and tag.startswith(PREFIXES[room])]

    for path, lines in ((out_all, every), (out_common, common),
                        (out_unknown, ['LIST_UNKNOWN("%s")' % n for n in unknown])):
        with open(path, "w") as f:
            f.write("/* Made by make_lists.py. */\n" + "".join(line + "\n" for line in lines))


main()
