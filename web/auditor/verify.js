// Checks the log part of an evidence file, written apart from the Python verifier and from the specifications alone:
// RFC 6962 and 9162 (leaf hashes, inclusion), RFC 8785 (canonical JSON), RFC 8032 (Ed25519, by WebCrypto),
// c2sp.org/signed-note, tlog-checkpoint, tlog-cosignature, tlog-proof. No dependencies, no network.

const utf8 = new TextEncoder();

/** Whom to believe, as the network file's `log` names them: {key, witnesses: {name: {key}}, quorum}. */
export async function verifyLog(evidence, log) {
  const [logKey] = await readKeys([log.key], 1);
  const witnesses = await readKeys(Object.values(log.witnesses).map((each) => each.key), 4);
  const findings = [];
  const seen = [];
  for (const [n, { record, proof }] of evidence.records.entries()) {
    try {
      seen.push(await verifyRecord(record, proof, logKey, witnesses, log.quorum, seen.at(-1)));
    } catch (error) {
      findings.push({ where: `records.${n}`, what: error.message });
    }
  }
  if (evidence.records.length === 0) findings.push({ where: "records", what: "there are none" });
  return { records: evidence.records.length, checkpoint: seen[0]?.checkpoint ?? null, findings };
}

async function verifyRecord(record, text, logKey, witnesses, quorum, before) {
  const proof = parseProof(text);
  const checkpoint = parseCheckpoint(proof.note.text);
  require(checkpoint.origin === logKey.name, `the checkpoint is of ${checkpoint.origin}, not of ${logKey.name}`);
  require((await signers(proof.note, [logKey])).length === 1, "the log did not sign the checkpoint");
  const cosigned = await signers(proof.note, witnesses);
  require(cosigned.length >= quorum, `${cosigned.length} of the ${quorum} witnesses needed cosigned`);
  const leaf = await sha256([0], utf8.encode(canonical(record)));
  const root = await rootOf(leaf, proof.index, checkpoint.size, proof.path);
  require(same(root, checkpoint.root), "the inclusion proof leads to another root: the log does not hold this record");
  require(!before || before.index < proof.index, "it comes before the record above it in the log");
  require(!before || before.checkpoint === proof.note.text, "it is under another checkpoint than the record above it");
  return { index: proof.index, checkpoint: proof.note.text };
}

/** RFC 9162, 2.1.3.2. */
async function rootOf(leaf, index, size, path) {
  require(index < size, `entry ${index} is not in a log of ${size}`);
  let [at, last, hash] = [index, size - 1n, leaf];
  for (const sibling of path) {
    require(last > 0n, "the inclusion proof is too long");
    if (at & 1n || at === last) {
      hash = await sha256([1], sibling, hash);
      while (!(at & 1n) && at !== 0n) [at, last] = [at >> 1n, last >> 1n];
    } else {
      hash = await sha256([1], hash, sibling);
    }
    [at, last] = [at >> 1n, last >> 1n];
  }
  require(last === 0n, "the inclusion proof is too short");
  return hash;
}

function parseProof(text) {
  const end = text.indexOf("\n\n");
  const [header, index, ...path] = text.slice(0, end).split("\n");
  require(end > 0 && header === "c2sp.org/tlog-proof@v1", "the proof is no c2sp.org/tlog-proof@v1");
  require(index?.startsWith("index "), "the proof has no index");
  return { index: decimal(index.slice(6)), path: path.map(hash), note: parseNote(text.slice(end + 2)) };
}

function parseNote(note) {
  const end = note.lastIndexOf("\n\n");
  require(end > 0 && note.endsWith("\n"), "the checkpoint is no signed note");
  const lines = note.slice(end + 2, -1).split("\n");
  return { text: note.slice(0, end + 1), signatures: lines.map(parseSignature) };
}

function parseSignature(line) {
  const [, name, data] = line.match(/^— ([^\s+]+) (\S+)$/) ?? [];
  require(data, "a signature line is malformed");
  const bytes = base64(data);
  return { name, id: hex(bytes.slice(0, 4)), content: bytes.slice(4) };
}

function parseCheckpoint(text) {
  const lines = text.slice(0, -1).split("\n");
  require(lines.length >= 3 && lines.every(Boolean), "the checkpoint has too few lines");
  return { origin: lines[0], size: decimal(lines[1]), root: hash(lines[2]) };
}

/** vkeys of this signature type: 1 signs the note's text, 4 cosigns it with the time. */
function readKeys(vkeys, type) {
  return Promise.all(vkeys.map(async (vkey) => {
    const [, name, id, data] = vkey.match(/^([^\s+]+)\+([0-9a-f]{8})\+(\S+)$/) ?? [];
    require(data, `${vkey} is no vkey`);
    const typed = base64(data);
    require(typed.length === 33 && typed[0] === type, `${name} has no Ed25519 key of type ${type}`);
    const fits = hex((await sha256(utf8.encode(`${name}\n`), typed)).slice(0, 4)) === id;
    require(fits, `the vkey of ${name} says another id than its key has`);
    const key = await crypto.subtle.importKey("raw", typed.slice(1), "Ed25519", false, ["verify"]);
    return { name, id, type, key };
  }));
}

/** Those of `keys` that signed, each once. One wrong signature of theirs is a forgery. */
async function signers(note, keys) {
  const found = new Set();
  for (const key of keys) {
    for (const each of note.signatures.filter(({ name, id }) => name === key.name && id === key.id)) {
      const [message, signature] = key.type === 4 ? cosigned(note.text, each.content) : [note.text, each.content];
      const good = await crypto.subtle.verify("Ed25519", key.key, signature, utf8.encode(message));
      require(good, `the signature of ${key.name} is wrong`);
      found.add(key);
    }
  }
  return [...found];
}

function cosigned(text, content) {
  require(content.length === 72, "a cosignature is not a time and 64 bytes");
  const time = new DataView(content.buffer, content.byteOffset).getBigUint64(0);
  return [`cosignature/v1\ntime ${time}\n${text}`, content.slice(8)];
}

/** RFC 8785, for what a record holds: strings, whole numbers, lists, objects, null. */
function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  return `{${Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`).join(",")}}`;
}

async function sha256(...parts) {
  const bytes = Uint8Array.from(parts.flatMap((part) => [...part]));
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

function base64(text) {
  require(/^[A-Za-z0-9+/]*={0,2}$/.test(text) && text.length % 4 === 0, "something is not base64");
  const binary = atob(text);
  require(btoa(binary) === text, "something is not canonical base64");
  return Uint8Array.from(binary, (char) => char.charCodeAt(0));
}

function hash(text) {
  const bytes = base64(text);
  require(bytes.length === 32, "a hash has not 32 bytes");
  return bytes;
}

function decimal(text) {
  require(/^(0|[1-9][0-9]{0,18})$/.test(text), "a number is malformed");
  return BigInt(text);
}

const hex = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
const same = (a, b) => hex(a) === hex(b);

function require(condition, message) {
  if (!condition) throw new Error(message);
}
