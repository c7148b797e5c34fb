// `npm run chaos`: every test that proves a promise of docs/reliability.md, at full size, then a
// table of the promises. `npm run chaos -- --write` also writes the table into that document. Takes
// longer than `npm test`.
import { readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { askedToEnd } from "./processes.ts";
import { listPromises, type Proof, tableOf } from "./proofs.ts";
import { announceSeed, builds, programs, proofSuites, runSuites, withTestDatabase } from "./suites.ts";

const documentFile = "docs/reliability.md";
const place = /(?<=<!-- table: begin -->\n).*(?=<!-- table: end -->)/s;

const readDocument = () => readFileSync(documentFile, "utf8");
if (!place.test(readDocument())) throw new Error(`${documentFile} has no place for the table.`);
process.env.CHAOS = "full";
const seed = announceSeed();
const startMs = performance.now();
const proofs: Proof[] = [];
const tests = await withTestDatabase(() => runSuites([builds, programs, ...proofSuites(proofs)]));

const { table, unproved } = tableOf(listPromises(readDocument()), proofs);
const minutes = Math.round((performance.now() - startMs) / 60_000);
const run = `${new Date().toISOString().slice(0, 10)}, seed ${seed}, ${availableParallelism()} cores, ${minutes} minutes`;
for (const { title } of proofs.filter((proof) => !proof.passed)) console.log(`✗ ${title}`);
console.log(`\n${table}\n\n${run}`);
if (process.argv.includes("--write"))
  writeFileSync(
    documentFile,
    readDocument().replace(place, () => `${table}\n\n${run}\n`),
  );
const failed = tests.failed + unproved;
console.log(`${tests.passed} passed, ${failed} failed`);
process.exit(failed || askedToEnd() ? 1 : 0);
