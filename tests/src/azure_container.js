// Makes a container: node azure_container.js ENDPOINT ACCOUNT KEY CONTAINER. Signs as "Authorize with Shared Key" of Microsoft's REST documentation says.
const crypto = require("crypto");
const http = require("http");
const [endpoint, account, key, container] = process.argv.slice(2);
const url = new URL(`${endpoint}/${container}?restype=container`);
const headers = { "x-ms-date": new Date().toUTCString(), "x-ms-version": "2021-08-06" };
const named = Object.entries(headers).map(([name, value]) => `${name}:${value}\n`).join("");
const signed = `PUT\n${"\n".repeat(11)}${named}/${account}${url.pathname}\nrestype:container`;
const signature = crypto.createHmac("sha256", Buffer.from(key, "base64")).update(signed, "utf8").digest("base64");
const request = http.request(url, { method: "PUT", headers: { ...headers, "Content-Length": 0, Authorization: `SharedKey ${account}:${signature}` } }, (answer) => {
  answer.on("data", (text) => process.stderr.write(text)).on("end", () => process.exit(answer.statusCode === 201 ? 0 : 1));
});
request.on("error", (error) => { console.error(error.message); process.exit(1); });
request.end();
