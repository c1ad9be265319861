import { z } from 'zod';

/**
 * An ISBN of 10 or 13 characters without hyphens, its check digit verified.
 * Source: ISBN Users' Manual, 7th edition, section 5 (ISBN-13) and appendix (ISBN-10).
 */
export const isbn = () =>
  z
    .string()
    .regex(/^(\d{9}[\dX]|97[89]\d{10})$/, {
      error: 'must be an ISBN of 10 characters or of 13 digits starting with 978 or 979, without hyphens',
      abort: true,
    })
    .refine((isbn) => checksum(isbn) === 0, {
      error: 'is not an ISBN: its check digit is wrong',
      params: { code: 'wrong_check_digit' },
    });

const checksum = (isbn: string): number => {
  const weigh = isbn.length === 10 ? (i: number) => 10 - i : (i: number) => (i % 2 === 0 ? 1 : 3);
  const sum = Array.from(isbn).reduce(
    (sum, digit, i) => sum + weigh(i) * (digit === 'X' ? 10 : Number(digit)),
    0,
  );
  return sum % (isbn.length === 10 ? 11 : 10);
};
