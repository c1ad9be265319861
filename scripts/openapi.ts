import { writeFileSync } from 'node:fs';
import { describeApi } from '../src/app.ts';
import { resources, routes } from '../src/resources/api.ts';

/** Writes the OpenAPI document, the same as GET /openapi.json, to the file of the first argument or to stdout. */
const document = `${JSON.stringify(describeApi({ resources, routes }), null, 2)}\n`;
const [file] = process.argv.slice(2);
if (file) writeFileSync(file, document);
else process.stdout.write(document);
