#!/usr/bin/env node
// Stands where a desktop has its browser: `BROWSER=…/open.mjs` hands the address to the desk (DESK) and its Chromium.
const answer = await fetch(`${process.env.DESK}/browse`, {
  method: 'POST',
  body: JSON.stringify({ url: process.argv[2], profile: process.env.PROFILE }),
});
process.exit(answer.ok ? 0 : 1);
