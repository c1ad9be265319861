import type Router from '@koa/router';
import { mountAsset, sendLocal } from '../../http/assets.ts';
import type { Edge } from '../../http/edge.ts';
import { escapeHtml } from '../../http/page.ts';
import type { AnyResource } from '../../schema/resource.ts';
import { type Model, modelFor, type Relation } from './model.ts';
import { STYLE, svgOf } from './svg.ts';

/** A diagram of the resources and their references at /docs/model; `npm run model` writes it to a file. */
export const modelPage = (resources: AnyResource[]): Edge => ({
  routes: [],
  pages: (router: Router) => {
    const style = mountAsset(router, 'model.css', PAGE_STYLE + STYLE);
    const page = render(modelFor(resources), style);
    router.get('/docs/model', (ctx) => sendLocal(ctx, page));
  },
});

const render = (model: Model, style: string): string => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>The model</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="${style}">
<h1>The model</h1>
<p>The resources and their references; <code>?</code> is nullable, <code>•</code> is unique. Try it in <a href="/docs">Swagger UI</a>.</p>
<figure>${svgOf(model)}</figure>
<table>
<thead><tr><th>From</th><th>Field</th><th>To</th><th>Cardinality</th><th>When the target is removed</th></tr></thead>
<tbody>
${model.relations.map(rowOf).join('\n')}
</tbody>
</table>
</html>
`;

const rowOf = ({ from, field, to, source, target, onRemoval }: Relation): string =>
  `<tr>${[from, field, to, `${source} to ${target}`, WORDS[onRemoval]].map((cell) => `<td>${escapeHtml(cell)}</td>`).join('')}</tr>`;

const WORDS = {
  restrict: 'refused',
  detach: 'the reference is removed',
  cascade: 'this document is removed too',
};

const PAGE_STYLE = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 75rem; margin: 1.5rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0; }
figure { margin: 1rem 0; overflow-x: auto; }
figure svg { min-width: 45rem; }
table { border-collapse: collapse; font-size: .9rem; }
th, td { text-align: left; padding: .25rem 1.25rem .25rem 0; border-bottom: 1px solid #8884; }
`;
