#!/usr/bin/env node
// Presents npm's solc (WebAssembly) to forge as if it were a native compiler, so that nothing is downloaded.
// Answers the two calls forge makes: --version, and --standard-json on stdin (forge inlines every import).
'use strict';
const fs = require('fs');
const solc = require('solc');

const args = process.argv.slice(2);
if (args.includes('--version')) {
  // forge accepts only the version strings of native builds
  const version = solc.version().replace('.Emscripten.clang', '.Linux.g++');
  process.stdout.write(`solc, the solidity compiler commandline interface\nVersion: ${version}\n`);
} else if (args.includes('--standard-json')) {
  process.stdout.write(solc.compile(fs.readFileSync(0, 'utf8')));
} else {
  process.stderr.write(`solc-native: unsupported arguments: ${args.join(' ')}\n`);
  process.exitCode = 1;
}
