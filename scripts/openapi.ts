import { writeFileSync } from 'node:fs';
import { describeApi } from '../src/app.ts';
import { resources, routes } from '../src/resources/api.ts';
import { runProgram, UsageError } from './program.ts';

const USAGE = `Usage: npm run --silent openapi [-- FILE]

Writes the OpenAPI document, the same as GET /openapi.json, to FILE or to standard output.`;

await runProgram(USAGE, async () => {
  const [file, ...more] = process.argv.slice(2);
  if (more.length > 0) throw new UsageError(`Unexpected argument: ${more.join(' ')}`);
  const document = `${JSON.stringify(describeApi({ resources, routes }), null, 2)}\n`;
  if (file) writeFileSync(file, document);
  else process.stdout.write(document);
  return 0;
});
