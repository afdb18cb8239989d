import json
from pathlib import Path

from connectionchain.evidence import EvidenceRecord

PUBLISHED = Path(__file__).parents[2] / "docs" / "evidence-record.v1.schema.json"


def test_schema__is_published_as_it_is() -> None:
    """If this fails, the record has changed: give it another version and publish that beside this one."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    schema |= EvidenceRecord.model_json_schema(mode="serialization")
    assert PUBLISHED.read_text() == json.dumps(schema, indent=2, sort_keys=True) + "\n"
