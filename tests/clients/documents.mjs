// Reads the code in the documents under docs/, so that the tests run exactly what users read.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

/** The fenced blocks of a language under a heading of a document, in order, without their fences. */
export function blocks(document, heading, language) {
  const text = readFileSync(new URL(`../../docs/${document}`, import.meta.url), 'utf8');
  const found = [];
  let section = '';
  let block;
  for (const line of text.split('\n')) {
    const fence = /^```(\w*)$/.exec(line);
    if (fence && block) {
      if (block.language === language && section === heading) found.push(block.lines.join('\n') + '\n');
      block = undefined;
    } else if (fence) block = { language: fence[1], lines: [] };
    else if (block) block.lines.push(line);
    else if (line.startsWith('#')) section = line.replace(/^#+ /, '');
  }
  assert.ok(found.length > 0, `docs/${document} has no block of ${language} below "${heading}"`);
  return found;
}

/** Replaces every occurrence of each pair's first string in a text; each must occur at least once. */
export function replaced(text, pairs) {
  return pairs.reduce((changed, [from, to]) => {
    assert.ok(changed.includes(from), `"${from}" is not in\n${changed}`);
    return changed.replaceAll(from, () => to);
  }, text);
}
