import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The documentation leads nowhere in vain. */

const files = [
  'README.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  ...readdirSync('docs').map((name) => `docs/${name}`),
];
const read = (file: string): string => readFileSync(file, 'utf8');
const withoutCode = (text: string): string => text.replace(/```[\s\S]*?```/g, '');

/** As GitHub makes it of a heading. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\w\- ]/g, '')
    .replaceAll(' ', '-');

test('every link leads to a file, and to a heading of it', () => {
  const broken = files.flatMap((file) =>
    [...withoutCode(read(file)).matchAll(/\]\(([^)]+)\)/g)]
      .map(([, link]) => link as string)
      .filter((link) => !/^https?:/.test(link))
      .filter((link) => {
        const [path, anchor] = link.split('#') as [string, string?];
        const target = path ? join(dirname(file), path) : file;
        if (!existsSync(target)) return true;
        const headings = [...withoutCode(read(target)).matchAll(/^#+ (.*)$/gm)].map(([, text]) =>
          anchorOf(text as string),
        );
        return anchor !== undefined && !headings.includes(anchor);
      })
      .map((link) => `${file}: ${link}`),
  );
  expect(broken).toEqual([]);
});

test('every command of npm is there', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  const unknown = files.flatMap((file) =>
    [...read(file).matchAll(/npm run (?:-s |--silent )?([\w:-]+)/g)]
      .map(([, script]) => script as string)
      .filter((script) => !scripts[script])
      .map((script) => `${file}: npm run ${script}`),
  );
  expect(unknown).toEqual([]);
});
