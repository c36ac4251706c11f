#!/usr/bin/env node
// Replaces the browser of a desktop: with `BROWSER=…/open.mjs` a program sends its address to the browser service
// (BROWSER_SERVICE).
const answer = await fetch(`${process.env.BROWSER_SERVICE}/browse`, {
  method: 'POST',
  body: JSON.stringify({ url: process.argv[2], profile: process.env.PROFILE }),
});
process.exit(answer.ok ? 0 : 1);
