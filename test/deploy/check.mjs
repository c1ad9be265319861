import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Ajv } from 'ajv';
import { parse, parseAllDocuments } from 'yaml';

/**
 * The files of Kubernetes against its types and schemas, those of kustomize against the folders, and Docker Compose's against
 * its specification. Throws at what is wrong.
 */

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (file) => readFileSync(join(root, file), 'utf8');
const files = readdirSync(join(root, 'deploy/kubernetes'), { recursive: true })
  .filter((path) => path.endsWith('.yaml'))
  .map((path) => join('deploy/kubernetes', path))
  .toSorted();
const isKustomization = (file) => basename(file) === 'kustomization.yaml';

checkKubernetes(files.filter((file) => !isKustomization(file)));
checkKustomize(files.filter(isKustomization));
checkCompose('docker-compose.yml');
console.log(`${files.length} files of Kubernetes and docker-compose.yml are valid.`);

/** As a program that makes each of them: the compiler finds names that there are not, the models wrong values. */
function checkKubernetes(manifests) {
  const folder = mkdtempSync(fileURLToPath(new URL('./checked-', import.meta.url)));
  try {
    const program = join(folder, 'manifests.mjs');
    writeFileSync(program, manifests.flatMap(makingOf).join('\n'));
    const options = ['--noEmit', '--allowJs', '--checkJs', '--strict', '--skipLibCheck'];
    const tsc = join(root, 'node_modules/typescript/bin/tsc');
    run(
      tsc,
      ...options,
      '--module',
      'nodenext',
      '--target',
      'es2023',
      '--types',
      '',
      '--ignoreConfig',
      program,
    );
    run(program);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function makingOf(file) {
  return parseAllDocuments(read(file)).map((document, i) => {
    const { apiVersion, kind, ...rest } = document.toJS();
    const name = `${kind}${i}_${basename(file).replace(/\W/g, '_')}`;
    return `// ${file}
import { ${kind} as ${name} } from 'kubernetes-models/${apiVersion}/${kind}';
new ${name}(${JSON.stringify(rest, null, 2)}).validate();`;
  });
}

/** Each file is named once, and what is named is there. */
function checkKustomize(kustomizations) {
  for (const file of kustomizations) {
    const { resources = [] } = parse(read(file));
    const folder = dirname(file);
    const lacking = resources.filter((path) => !existsSync(join(root, folder, path)));
    const own = files
      .filter((other) => dirname(other) === folder && !isKustomization(other))
      .map((other) => basename(other));
    const unnamed = own.filter((name) => !resources.includes(name));
    if (lacking.length + unnamed.length > 0)
      throw new Error(`${file} names what is not there (${lacking}), or not what is (${unnamed}).`);
  }
}

function checkCompose(file) {
  // The linter that it comes with has opinions of its own.
  const schema = JSON.parse(read('test/deploy/node_modules/dclint/schemas/compose.schema.json'));
  const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false });
  const { $schema: _, ...rest } = schema;
  const validate = ajv.compile(rest);
  if (!validate(parse(read(file), { merge: true })))
    throw new Error(`${file}: ${JSON.stringify(validate.errors, null, 2)}`);
}

function run(...command) {
  try {
    execFileSync(process.execPath, command, { encoding: 'utf8', stdio: 'pipe' });
  } catch (error) {
    throw new Error(`${error.stdout}${error.stderr}`, { cause: error });
  }
}
