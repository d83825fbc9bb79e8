/** Error words of attempts: a fixed vocabulary, a colon and a sentence. */

/** Splits `timeout: no answer within 20 s` into its word and its sentence. */
export function splitError(error: string): { word: string; sentence: string } {
  const match = /^([a-z_]+): (.*)$/s.exec(error);
  return match?.[1] !== undefined && match[2] !== undefined
    ? { word: match[1], sentence: match[2] }
    : { word: "", sentence: error };
}
