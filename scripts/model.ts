import { writeFileSync } from 'node:fs';
import { dbmlOf } from '../src/edges/model/dbml.ts';
import { modelFor } from '../src/edges/model/model.ts';
import { STYLE, svgOf } from '../src/edges/model/svg.ts';
import { resources } from '../src/resources/api.ts';
import { runProgram, UsageError } from './program.ts';

const USAGE = `Usage: npm run --silent model [-- FILE]

Writes the diagram of the resources and their references (as at /docs/model) to FILE or to standard output.

  FILE  with the extension .svg or .dbml (for dbdiagram.io and similar tools); by default SVG on standard output`;

await runProgram(USAGE, async () => {
  const [file, ...more] = process.argv.slice(2);
  if (more.length > 0) throw new UsageError(`Unexpected argument: ${more.join(' ')}`);
  if (file !== undefined && !/\.(svg|dbml)$/.test(file))
    throw new UsageError(`${file} must have the extension .svg or .dbml.`);
  const model = modelFor(resources);
  const text = file?.endsWith('.dbml') ? dbmlOf(model) : `${svgOf(model, { style: STYLE })}\n`;
  if (file) writeFileSync(file, text);
  else process.stdout.write(text);
  return 0;
});
