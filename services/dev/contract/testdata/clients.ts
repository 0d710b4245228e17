// Uses the types that openapi-typescript generates, against a running platform.
import assert from 'node:assert/strict';
import createClient from 'openapi-fetch';
import type { paths as API } from './api.js';
import type { paths as ManagementAPI } from './management-api.js';
import type { paths as WebServer } from './web-server.js';

const url = (name: string): { baseUrl: string } => ({ baseUrl: process.env[name] ?? '' });
const shop = createClient<WebServer>(url('WEB_SERVER'));
const management = createClient<ManagementAPI>(url('MANAGEMENT_API'));
const kafka = createClient<API>(url('API'));

const bought = await shop.POST('/api/v1/buy', { body: { username: 'Ada', userid: 'ada/ö +?', price: 19.99, product: 'Wool socks' } });
assert(bought.data, JSON.stringify(bought.error));
const { eventId, userid, timestamp } = bought.data.data;

// Stored within a minute, or the run fails.
const deadline = Date.now() + 60_000;
for (;;) {
  const { data, error } = await shop.GET('/api/v1/buys/{eventId}', { params: { path: { eventId } } });
  assert(data, JSON.stringify(error));
  if (data.state === 'stored') break;
  assert(Date.now() < deadline, `still ${data.state}`);
  await new Promise((resolve) => setTimeout(resolve, 20));
}

const purchases = await management.GET('/api/v1/purchases/{userid}', { params: { path: { userid } } });
assert.equal(purchases.data?.[0]?.timestamp, timestamp);
assert.equal(purchases.data?.[0]?.priceMinor, 1999);

const event = await management.GET('/api/v1/purchases/by-event/{eventId}', { params: { path: { eventId } } });
assert(event.data?.state === 'stored' && event.data.purchase.timestamp === timestamp);

const messages = await kafka.GET('/messages', { params: { query: { topic: 'purchases', limit: 1 } } });
assert.equal(JSON.parse(messages.data?.[0]?.value ?? '{}').timestamp, timestamp);

const refused = await kafka.GET('/messages', { params: { query: { topic: 'absent' } } });
assert.equal(refused.error?.status, 404);
