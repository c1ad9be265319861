/** Swagger UI, more compact: an open operation fits on a screen or two. */
export const STYLE = `
:root { color-scheme: light dark; }
body { margin: 0; }
html.dark-mode body { background: #1c2022; color: #d8dde7; }
nav { display: flex; gap: 1rem; justify-content: flex-end; max-width: 1460px; margin: auto; padding: .5rem 20px; font: 14px sans-serif; }
nav a, noscript a { color: inherit; }
.swagger-ui .info { margin: 0 0 1rem; }
.swagger-ui .info .description { max-height: 14rem; overflow: auto; }
.swagger-ui .info p, .swagger-ui .info li { margin: .3rem 0; font-size: 13px; }
.swagger-ui .scheme-container { padding: 0 0 .5rem; margin: 0; box-shadow: none; background: none; }
.swagger-ui .opblock-tag { font-size: 18px; padding: 6px 10px; }
.swagger-ui input.find.find { display: block; box-sizing: border-box; width: calc(100% - 40px); max-width: 1420px; margin: 0 auto 1rem; padding: .6rem .75rem; font-size: 16px; }

.swagger-ui .opblock-description-wrapper { padding: 8px 20px; }
.swagger-ui .opblock-description-wrapper p { margin: 0; }
.swagger-ui .opblock-section-header { min-height: 0; padding: 4px 20px; }
.swagger-ui .parameters-container .parameters td { padding: 3px 0 3px 10px; }
.swagger-ui .parameters-container thead, .swagger-ui .responses-table thead { display: none; }
.swagger-ui .parameters .parameter__name { font-size: 13px; padding: 0; }
.swagger-ui .parameters .parameter__type, .swagger-ui .parameters .parameter__in { display: inline; padding: 0; font-size: 11px; margin-right: .5rem; }
.swagger-ui .parameters-col_description p { margin: 0; font-size: 12px; }
.swagger-ui .parameters-col_description input, .swagger-ui .parameters-col_description select { margin: 1px 0; padding: 4px 8px; font-size: 13px; }
.swagger-ui .parameters-col_description select[multiple] { height: 4.5rem; }
.swagger-ui .parameter__enum, .swagger-ui .parameter__default, .swagger-ui .parameter__example { display: none; }
.swagger-ui .json-schema-form-item-add { padding: 2px 8px; font-size: 12px; }
.swagger-ui .filters:not(.open) tr[data-param-name*='['] { display: none; }
.swagger-ui .btn.more { margin: 0 20px 10px; }
.swagger-ui .execute-wrapper { padding: 8px 20px; }
.swagger-ui textarea, .swagger-ui .body-param__text { min-height: 9rem; height: 9rem; }
.swagger-ui .responses-inner { padding: 8px 20px; }
.swagger-ui .responses-table td { padding: 4px 0; }
.swagger-ui .response-col_description .model-example { margin-top: 0; }
.swagger-ui .response-col_description p { margin: 0; font-size: 12px; }
.swagger-ui .response .highlight-code, .swagger-ui .response pre.example { max-height: 11rem; overflow: auto; }
.swagger-ui .response:not([data-code^='2']) .model-example,
.swagger-ui .response:not([data-code^='2']) .response-controls,
.swagger-ui .response:not([data-code^='2']) .examples-select,
.swagger-ui .response .headers-wrapper,
.swagger-ui .response-col_links { display: none; }

.swagger-ui .login { padding: 1.25rem; display: grid; gap: .75rem; }
.swagger-ui .modal-ux { min-width: 0; width: min(24rem, calc(100vw - 2rem)); }
.swagger-ui .login h3 { margin: 0; font-size: 20px; }
.swagger-ui .login form { display: grid; gap: .6rem; }
.swagger-ui .login label { display: grid; margin: 0; }
.swagger-ui .login label input { min-width: 0; width: 100%; margin: 0; }
.swagger-ui .login p { margin: 0; font-size: 12px; }
.swagger-ui .login p:empty { display: none; }
.swagger-ui .login [role='alert'] { color: #d33; }
.swagger-ui .login summary { cursor: pointer; margin-bottom: .5rem; }
.swagger-ui .login .close { justify-self: start; }
.swagger-ui .login .authorize { padding: 5px; text-align: center; }
.swagger-ui .login .authorize, .swagger-ui .login summary { font-size: 14px; }

@media (max-width: 600px) {
  .swagger-ui .parameters tr { display: grid; }
  .swagger-ui .parameters-col_name { display: flex; gap: .5rem; align-items: baseline; }
  .swagger-ui .parameters-container .parameters td { padding: 2px 8px; }
  .swagger-ui .opblock .opblock-summary { flex-wrap: wrap; }
  .swagger-ui .opblock .opblock-summary-method { min-width: 60px; padding: 4px 0; font-size: 12px; }
  .swagger-ui .wrapper { padding: 0 10px; }
  .swagger-ui input.find.find { width: calc(100% - 20px); }
}
`;
