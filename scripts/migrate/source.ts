import { inspect } from 'node:util';
import type { JsonSchema } from '../../src/mongo/layout.ts';

export type Source = ReturnType<typeof newSource>;

/** Builds the source of a migration. */
export function newSource() {
  const used: Record<string, Set<string>> = {};
  const constants: Record<string, string> = {};
  const steps: string[] = [];
  const use = (module: string, builder: string): void => {
    used[module] = (used[module] ?? new Set()).add(builder);
  };
  return {
    use,
    isEmpty: () => steps.length === 0,
    /** Adds a call of a builder. */
    step(module: 'structure' | 'documents', builder: string, ...args: string[]): void {
      use(module, builder);
      steps.push(`${builder}(${args.join(', ')}),`);
    },
    comment(line: string): void {
      steps.push(`// ${line}`);
    },
    /** Declares a constant, so that a schema used by two steps is written once; returns its name. */
    constant(name: string, value: JsonSchema): string {
      const text = literal(value);
      const plain = name.replace(/\W/g, '_');
      let free = plain;
      for (let n = 2; (constants[free] ?? text) !== text; n++) free = `${plain}${n}`;
      constants[free] = text;
      return free;
    },
    toText(name: string, options = ''): string {
      use('migration', 'migration');
      const imports = Object.keys(used)
        .toSorted(alphabetically)
        .map((module) => {
          const names = [...(used[module] ?? [])].toSorted(alphabetically);
          return `import { ${names.join(', ')} } from '../mongo/migrate/${module}.ts';`;
        });
      const values = Object.entries(constants).map(([name, value]) => `const ${name} = ${value};`);
      const body = `export const ${exportOf(name)} = migration(import.meta.url, [\n${steps.join('\n')}\n]${options});`;
      return `${[imports.join('\n'), ...values, body].join('\n\n')}\n`;
    },
  };
}

/** The export of add-publisher is addPublisher. */
export const exportOf = (name: string): string =>
  name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());

const alphabetically = (a: string, b: string): number => (a < b ? -1 : 1);

/** As TypeScript source, to be formatted later. */
export const literal = (value: unknown): string =>
  inspect(withDates(value), { depth: null, breakLength: 100, maxArrayLength: null, maxStringLength: null });

/** The filter of an index may contain dates. */
function withDates(value: unknown): unknown {
  if (value instanceof Date) return { [inspect.custom]: () => `new Date('${value.toISOString()}')` };
  if (Array.isArray(value)) return value.map(withDates);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, withDates(inner)]));
}

/** A property key. */
export const keyText = (name: string): string => (/^[A-Za-z_$][\w$]*$/.test(name) ? name : literal(name));
