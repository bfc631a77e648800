"""The real Codex CLI reads and changes files through our server: patches, project documents, skills, images."""

import base64
import struct
import zlib

import pytest

from .codex import Codex
from .responses import apply_patch, call, run

pytestmark = pytest.mark.interop


def png() -> bytes:
    """Two pixels, red and green."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 2, 1, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0\xff\0\0\0\xff\0")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def test_a_patch_adds_a_file_in_a_directory_that_is_not_there_yet(codex: Codex) -> None:
    done = codex.run([[apply_patch("*** Begin Patch\n*** Add File: new/deep/ä b.txt\n+eins\n+zwei\n*** End Patch\n")]])
    assert "Success." in done.outputs[0]
    assert (codex.workspace / "new/deep/ä b.txt").read_text() == "eins\nzwei\n"


def test_a_patch_updates_a_file_and_keeps_its_mode(codex: Codex) -> None:
    script = codex.workspace / "run.sh"
    script.write_text("#!/bin/sh\necho one\necho two\n")
    script.chmod(0o750)
    text = "*** Begin Patch\n*** Update File: run.sh\n@@\n echo one\n-echo two\n+echo zwei\n*** End Patch\n"
    done = codex.run([[apply_patch(text)], [run("./run.sh")]])
    assert "Success." in done.outputs[0]
    assert script.read_text() == "#!/bin/sh\necho one\necho zwei\n"
    assert script.stat().st_mode & 0o777 == 0o750
    assert done.outputs[1].endswith("one\nzwei\n")


def test_a_patch_moves_one_file_and_deletes_another(codex: Codex) -> None:
    (codex.workspace / "old.txt").write_text("a\nb\nc\n")
    (codex.workspace / "gone.txt").write_text("x\n")
    text = (
        "*** Begin Patch\n*** Update File: old.txt\n*** Move to: sub/new.txt\n@@\n a\n-b\n+B\n c\n"
        "*** Delete File: gone.txt\n*** End Patch\n"
    )
    done = codex.run([[apply_patch(text)]])
    assert "Success." in done.outputs[0]
    assert (codex.workspace / "sub/new.txt").read_text() == "a\nB\nc\n"
    assert sorted(path.name for path in codex.workspace.iterdir()) == ["sub"]


def test_a_patch_that_does_not_fit_changes_nothing(codex: Codex) -> None:
    (codex.workspace / "a.txt").write_text("one\n")
    text = "*** Begin Patch\n*** Update File: a.txt\n@@\n-other\n+another\n*** End Patch\n"
    [output] = codex.run([[apply_patch(text)]]).outputs
    assert "verification failed" in output
    assert (codex.workspace / "a.txt").read_text() == "one\n"


def test_a_patch_of_a_missing_file_is_refused_and_makes_none(codex: Codex) -> None:
    text = "*** Begin Patch\n*** Update File: missing.txt\n@@\n-other\n+another\n*** End Patch\n"
    [output] = codex.run([[apply_patch(text)]]).outputs
    assert "verification failed" in output
    assert not list(codex.workspace.iterdir())


def test_the_project_document_is_read_and_given_to_the_model(codex: Codex) -> None:
    (codex.workspace / "AGENTS.md").write_text("Say xyzzy-document, always.\n")
    assert "Say xyzzy-document, always." in codex.run([]).transcript.briefing


def test_project_documents_are_found_from_the_repository_root_down(codex: Codex) -> None:
    (codex.place / ".git").mkdir()
    (codex.place / "AGENTS.md").write_text("Rule of the root.\n")
    (codex.workspace / "AGENTS.md").write_text("Rule of the workspace.\n")
    briefing = codex.run([]).transcript.briefing
    assert 0 < briefing.find("Rule of the root.") < briefing.find("Rule of the workspace.")


def test_a_skill_of_the_workspace_is_offered_to_the_model(codex: Codex) -> None:
    skill = codex.workspace / ".agents/skills/frob/SKILL.md"
    skill.parent.mkdir(parents=True)
    skill.write_text("---\nname: frob\ndescription: Frobnicate with xyzzy-skill.\n---\nDo it.\n")
    assert "frob: Frobnicate with xyzzy-skill." in codex.run([]).transcript.briefing


def test_an_image_is_shown_to_the_model_byte_for_byte(codex: Codex) -> None:
    (codex.workspace / "two pixels.png").write_bytes(png())
    [content] = codex.run([[call("view_image", path="two pixels.png")]]).transcript.contents
    [image] = [item["image_url"] for item in content if item["type"] == "input_image"]
    assert image == f"data:image/png;base64,{base64.b64encode(png()).decode()}"


def test_an_image_that_is_not_there_is_told_to_the_model(codex: Codex) -> None:
    [output] = codex.run([[call("view_image", path="missing.png")]]).outputs
    assert "missing.png" in output
    assert "unable to locate image" in output
