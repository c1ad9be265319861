import { isCommon } from '../auth/passwords.ts';
import { text } from './fields.ts';

/** A password that is being set. One that is only presented need not meet this rule, because rules may have changed. */
export const password = () =>
  text(10, 200)
    .refine((given) => !isCommon(given), {
      error: 'is one of the passwords that everybody tries first',
      params: { code: 'too_common' },
    })
    .meta({ format: 'password', writeOnly: true, minLength: 10, maxLength: 200 })
    .describe('At least 10 characters; it is never shown');
