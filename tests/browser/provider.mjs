// An identity provider (OpenID Connect) on a free port of this machine, with the console as its only client.
// usage: node provider.mjs CONSOLE (the address of the console)
// Prints `issuer URL` when it is ready, `state STATE` when a sign-in begins, and `callback URL` when it ends.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

const callback = `${process.argv[2]}/sign-in/callback`;

const key = (alg, type, options) => {
  const { privateKey } = generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: 'jwk' }), kid: alg, alg, use: 'sig' };
};

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{
      client_id: 'iam-console',
      client_secret: 'a secret: with /&=+ %',
      redirect_uris: [callback],
      post_logout_redirect_uris: [`${process.argv[2]}/sign-in`],
      id_token_signed_response_alg: 'ES256',
    }],
    jwks: { keys: [key('RS256', 'rsa', { modulusLength: 2048 }), key('ES256', 'ec', { namedCurve: 'P-256' })] },
    cookies: { keys: [randomBytes(32).toString('hex')] },
    pkce: { required: () => true },
    claims: { openid: ['sub'], profile: ['name'] },
    // As at most identity providers, the ID token contains the claims of the scope `profile`.
    conformIdTokenClaims: false,
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, name: `${id} of the provider` }) }),
  });
  provider.use(async (ctx, next) => {
    await next();
    if (ctx.path === '/auth' && ctx.query.state) console.log(`state ${ctx.query.state}`);
    const location = ctx.response.get('location') ?? '';
    if (location.startsWith(callback)) console.log(`callback ${location}`);
  });
  server.on('request', provider.callback());
  console.log(`issuer ${issuer}`);
});
