#!/usr/bin/env python2.7
# Records which proxy the library of the original's client takes for an address, given an
# environment: one environment in a line, with the proxy of each address, null for none. Needs Python 2.7
# with requests 2.18.4, as the original's client did.
#
#     record.py >recorded.jsonl
from __future__ import print_function

import json
import os
import random

from requests import utils

P, Q = 'http://p:3128', 'http://q:8080'

CASES = [
    # (variables, addresses)
    ({}, ['http://s/', 'https://s/']),
    ({'http_proxy': P}, ['http://s/', 'https://s/', 'http://localhost/', 'http://127.0.0.1:8081/']),
    ({'HTTP_PROXY': P}, ['http://s/', 'https://s/']),
    ({'HTTPS_PROXY': P}, ['http://s/', 'https://s/']),
    ({'https_proxy': P, 'HTTPS_PROXY': Q}, ['https://s/']),
    ({'https_proxy': '', 'HTTPS_PROXY': Q}, ['https://s/']),
    ({'https_proxy': '', 'HTTPS_PROXY': Q, 'ALL_PROXY': P}, ['https://s/']),
    ({'http_proxy': P, 'HTTP_PROXY': ''}, ['http://s/']),
    ({'ALL_PROXY': P}, ['http://s/', 'https://s/']),
    ({'all_proxy': P, 'HTTP_PROXY': Q}, ['http://s/', 'https://s/']),
    ({'all_proxy': '', 'ALL_PROXY': Q}, ['http://s/']),
    ({'HTTP_PROXY': P, 'REQUEST_METHOD': 'GET'}, ['http://s/', 'https://s/']),
    ({'http_proxy': P, 'REQUEST_METHOD': 'GET'}, ['http://s/']),
    ({'HTTP_PROXY': P, 'ALL_PROXY': Q, 'REQUEST_METHOD': ''}, ['http://s/']),
    ({'HTTPS_PROXY': P, 'REQUEST_METHOD': 'GET'}, ['https://s/']),
]

HOSTS = ['s', 'localhost', 'example.com', 'www.example.com', 'wwwexample.com', 'WWW.Example.COM',
         '127.0.0.1', '10.1.2.3', '10.1.2.130', '192.168.0.1', '1.2', '[::1]', '[fe80::1]', '10.0.0.1.example.com']
PORTS = ['', ':8081']
RULES = ['*', 's', 'localhost', 'example.com', '.example.com', 'EXAMPLE.com', 'example.com:8081',
         'www.example.com:80', 'com', 'ample.com', '*.example.com', '.', ':8081', '8081', '10.1.2.0/24', '10.1.2.0/25',
         '10.1.2.3/32', '10.1.2.3/33', '10.1.2.3/0', '10.1.2.3/x', '0.0.0.0/1', '10/8', '10.1/16', '10.1.2.3',
         '10.1.2.3:8081', '1.2.3', '2.3', '127.0.0.0/8', '127.1', '192.168.0.1/24', '::1', '[::1]', 'fe80::1',
         '[::1]:8081', 'localhost,example.com', ' localhost , example.com ', 'a b', '* ', '*,s', ',', '',
         'sub.example.com', '10.1.2.3/', '/24', '10.1.2.3/24/1', '10.1.2.0/ 24']

for rule in RULES:
    addresses = ['http://%s%s/' % (host, port) for host in HOSTS for port in PORTS]
    CASES.append(({'http_proxy': P, 'NO_PROXY': rule}, addresses))

CASES.append(({'http_proxy': P, 'NO_PROXY': 'a', 'no_proxy': 'b'}, ['http://a/', 'http://b/']))
CASES.append(({'http_proxy': P, 'NO_PROXY': 'a', 'no_proxy': ''}, ['http://a/', 'http://A/', 'http://b/']))
CASES.append(({'http_proxy': P, 'NO_PROXY': '*', 'no_proxy': ''}, ['http://a/']))
CASES.append(({'http_proxy': P, 'NO_PROXY': 'a', 'REQUEST_METHOD': 'GET'}, ['http://a/', 'http://b/']))
CASES.append(({'ALL_PROXY': P, 'NO_PROXY': 's:443'}, ['https://s/', 'https://s:443/', 'https://s:444/']))

pick = random.Random(1)
for _ in range(200):
    variables = {}
    for name in ('http_proxy', 'https_proxy', 'all_proxy', 'no_proxy'):
        for form in (name, name.upper()):
            if pick.random() < 0.4:
                rules = ','.join(pick.choice(RULES) for _ in range(pick.randrange(4)))
                variables[form] = rules if name == 'no_proxy' else pick.choice([P, Q, ''])
    if pick.random() < 0.1:
        variables['REQUEST_METHOD'] = 'POST'
    url = '%s://%s%s/' % (pick.choice(['http', 'https']), pick.choice(HOSTS), pick.choice(PORTS))
    CASES.append((variables, [url]))


def proxy(url, variables):
    os.environ.clear()
    os.environ.update(variables)
    return utils.select_proxy(url, utils.get_environ_proxies(url))


for variables, addresses in CASES:
    proxies = {address: proxy(address, variables) for address in addresses}
    print(json.dumps({'env': variables, 'proxies': proxies}, sort_keys=True))
