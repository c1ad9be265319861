import { describeApi } from '../src/app.ts';
import { problems } from '../src/errors.ts';
import { resources, routes } from '../src/resources/api.ts';
import { inPlace, useApi } from './support/harness.ts';

const api = useApi();

// As the application publishes it: only what survives JSON.
const document: any = JSON.parse(JSON.stringify(describeApi({ resources, routes })));
const operations = Object.values<object>(inPlace(document).paths).flatMap((item) => Object.values<any>(item));

describe('the catalogue of problems', () => {
  /** What stands outside of every operation: no route has been found yet, or none could be. */
  const outside = [
    'malformed_request',
    'route_not_found',
    'method_not_allowed',
    'request_timeout',
    'expectation_failed',
    'headers_too_large',
    'method_not_implemented',
  ];

  test('is what the operations declare and what comes before any of them, no more and no less', () => {
    const declared = operations.flatMap(({ responses }) =>
      Object.entries<any>(responses)
        .filter(([status]) => !/^[23]/.test(status))
        .flatMap(([, { description }]) =>
          [...description.matchAll(/`(\w+)`/g)].map(([, code]) => String(code)),
        ),
    );
    // No resource of the sample has rules across fields: see rules.test.ts.
    const elsewhere = ['rule_broken'];
    expect([...new Set([...declared, ...outside, ...elsewhere])].toSorted()).toEqual(
      Object.keys(problems).toSorted(),
    );
    expect(declared.filter((code) => outside.includes(code))).toEqual([]);
    expect(document.components.schemas.Problem.properties.code.enum).toEqual(Object.keys(problems));
  });

  test('can be read at the address that is the type of a problem', async () => {
    const { body: refusal } = await api.get('/books/unknown');
    expect((await api.get(refusal.type)).body).toEqual({
      code: 'not_found',
      status: 404,
      title: refusal.title,
    });
    const { body: all } = await api.get('/problems');
    expect(all.items.map(({ code }: any) => code)).toEqual(Object.keys(problems));
    for (const code of ['nothing', '__proto__', 'constructor'])
      expect((await api.get(`/problems/${code}`)).status).toBe(404);
  });
});

describe('the page of Swagger UI', () => {
  let page: Response;
  let html: string;
  beforeAll(async () => {
    page = await fetch(`${api.url()}/docs`);
    html = await page.text();
  });

  test('loads nothing from elsewhere', () => {
    expect(page.headers.get('content-type')).toMatch(/^text\/html/);
    // The names of XML's vocabularies look like addresses and are none.
    expect(html.replace(/xmlns(:\w+)?="[^"]*"/g, '')).not.toMatch(/(https?:)?\/\/[a-z]/i);
  });

  test('runs no script and no style but those that its policy names', () => {
    const policy = page.headers.get('content-security-policy') as string;
    const nonce = /script-src 'self' 'nonce-([^']+)'/.exec(policy)?.[1];
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toMatch(/unsafe|\*|https?:/);
    const inline = html.match(/<(script|style)(?![^>]*\bsrc=)[^>]*>/g);
    expect(inline).toHaveLength(2);
    for (const tag of inline as string[]) expect(tag).toContain(`nonce="${nonce}"`);
    expect(html).not.toMatch(/\s(style|on\w+)="/);
  });

  test('has another nonce each time', async () => {
    expect(await (await fetch(`${api.url()}/docs`)).text()).not.toBe(html);
  });

  test('gets all that it loads, each with its type', async () => {
    const assets = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, address]) => address as string);
    expect(assets).toHaveLength(4);
    for (const asset of assets) {
      const response = await fetch(api.url() + asset);
      const size = (await response.arrayBuffer()).byteLength;
      expect([asset, response.status, size > 500]).toEqual([asset, 200, true]);
      expect(response.headers.get('content-type')).toMatch(
        { css: /^text\/css/, js: /javascript/, png: /^image\/png/ }[asset.split('.').at(-1) as 'css'],
      );
      expect(response.headers.get('x-content-type-options')).toBe('nosniff');
    }
    expect(html).toContain('/openapi.json');
  });
});
