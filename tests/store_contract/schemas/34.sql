INSERT OR REPLACE INTO migration (number, name, sha256) VALUES
    (1, 'core', X'BBCE0C2C58A06FFC351CE2C27894BC3447387B825B618FEE5E6EFC55AFCDFD13'),
    (2, 'document_age', X'3C141776EF303CC03B31DABE722969183041A7C24CEB2DCD530E2816AB883A65'),
    (3, 'interaction_source', X'A68BFA397FFCE2552E0E88C3D5AF2981A3D79219531A33CDED627DCB0663193B'),
    (4, 'login_network', X'7477F1AFBB0B540CE2933F202B7E46855899EAA09EED0BC483D10451306B2950'),
    (5, 'failed_logins', X'C89EFF40BFDECBB68C4D7170006DF596D2A6D64C4643EAC82F510D578CF768C5'),
    (6, 'interaction_place', X'971AC959730A2E5D6A918EFED714802CD8BBB78CEC64CF791C82F5E28D0BF6EF'),
    (7, 'indexes', X'A394FA6991DB8F431E09C8B06C161EDA9A2E22F38F2EE51517996105051F8D74'),
    (8, 'lost_answers', X'F23CC4CA6F4A330A0215F92D31FF6CAB4B6414AC3D10DF1D7E55CEEA4D3F5CEC'),
    (9, 'clock', X'5CF304631C636C398507666B8F0DFBAEF47F00CCA036C232A6F66E165BD77411'),
    (10, 'login_failure', X'6E025444A483C4FFED7466F809D830B22F071C87FB8C771E2BCB4F6E52935623'),
    (11, 'registrations', X'F12BDE45A8B3DE428EF8EA6683AB1F8F26485B9A2B8EE1BD357428902BF948C1'),
    (12, 'audit_size', X'AD2AC6D02F2739198AC324300848D61223BA27C04293E1259B557FB9669FBA4C'),
    (13, 'former_names', X'B450D2094639065FF3CC390FBB018274596F716A1EDD49FDA3C168E8B25DEA08'),
    (14, 'document_source', X'16915C327AB6050706465F059B57BD73C54FC014F8B22343F3C3E12A036FAAF7'),
    (15, 'setup_link_made', X'D4EF8B7FE69BA58B78E3FD546A9CA99E4383877733CA2055C88F9CCF554741AF'),
    (16, 'account_kind', X'A179F782C245DDFD6AA9B7FB8144BF379B2D8C2F781E199C4D0C5075C574272A'),
    (17, 'ephemeral', X'B1B20093AEFAA790BB5CE99F15F92293C1BAB4ED5514BD5BBE939CE6FB6D2DE3'),
    (18, 'last_use', X'D8345E219365FE7198B47359F6C3F91FC4E28A899E0DB88FC0E8EFF24698FDB5'),
    (19, 'group_member', X'CE22D6BB53BF989F821BAD8D671BD4768505D844312E6BD1A76AC35F673C80D0'),
    (20, 'exclusions', X'7A4F3527381DDE56EE15DF4E9D9C2EBA20EA08BE6144A61A8BC33C30F0943810'),
    (21, 'catalogue', X'23EC94136261A9809EE178C671194ADF96E56C40C70F34DCD36C390A69B28E24'),
    (22, 'quota', X'3A1698D1FC366AC28A6CC2DA621AFAAE8E2F24C1D94518C60A569A6471F3B4AE'),
    (23, 'left_out', X'F5D2DCC303EABAEA176D36933FB71379B119DF3000C897A41574846F9399760A'),
    (24, 'listed_names', X'1B26D97E36865587302FA84E850FCE86342CE8965C1277A286DCA6FB46AF90B5'),
    (25, 'milder_tools', X'272A67EF29FD05C4F77A10EA351402715DF1974E6CF6848B1F5247E8E8E3B932'),
    (26, 'client_last_use', X'A9E40FEBA51F863FA5D61700488BB01150E20AF7517DC71E25788C0C2F5064C7'),
    (27, 'api_key', X'24E4388FD2BBECBBB2EEF88479D4FF05F809F13539714730D6C788F5423B9841'),
    (28, 'by_assertion', X'27F6A9B6A6784AD4E9FB603EF0AC924795DC61ED7953366A4D8B8FD4E66B1420'),
    (29, 'acting', X'609324AA35FBD80B2D6E54DEBDCEC7C8ED94A7D45ABA3B4B0BFAFEA03CC7D2E1'),
    (30, 'table_mark', X'71ABD2264AAE44127A6F30D9CA457D6B78374D1C8546788F0D5EC30019D36414'),
    (31, 'client_sessions', X'0FBE21B6D4B8690867A4E7B37B425DEC1E6A7CCAB434D74D987CBE118B900BE3'),
    (32, 'client_decision', X'66CC8EA7DDD7CC32901409D06F9EE3D2EE619F2A3DB1D3B0AE2CB3C5131AA31F'),
    (33, 'succession', X'81EC45A3C681EBCF94CE03A99322FA9F6BC52CC0D162BF6EB91AD4CF393AE2A5'),
    (34, 'workload', X'B9317D15A907510B54C547163A08BE5459883CFAF1179B0C12C145E98A7AFDB6');
INSERT OR REPLACE INTO client (no, tenant, client_id, origin, metadata, resource, status, created_at, last_token_at, seal, document_fetched_at, document_fresh_until, registration, registered_at, document_source, last_used_at, access_lifetime, refresh_idle, refresh_absolute, decision, decided_for, decided_keys, succession) VALUES
    (1, 'default', 'mcp_client_app', 'registered', '{"client_name":"app","grant_types":["authorization_code","refresh_token"],"redirect_uris":["https://app.example/cb"],"response_types":["code"],"token_endpoint_auth_method":"none"}', NULL, 'enabled', 1800000000000, 1800000000000, 1274158415, NULL, NULL, X'EDC378830E71E4FE519C2062D27662805193179A2E129FE204432D522FBBC9A0', 1800000000000, NULL, 1800000000000, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (2, 'default', 'mcp_client_manual', 'manual', '{"client_name":"Example","grant_types":["authorization_code","refresh_token"],"redirect_uris":["https://app.example/cb"],"response_types":["code"],"token_endpoint_auth_method":"client_secret_basic"}', NULL, 'enabled', 1800000000000, NULL, 1169199026, NULL, NULL, NULL, 1800000000000, NULL, NULL, 3600000, 86400000, NULL, NULL, NULL, NULL, NULL),
    (3, 'default', 'https://fetched.example/client.json', 'document', '{"client_name":"fetched","grant_types":["authorization_code","refresh_token"],"redirect_uris":["https://app.example/cb"],"response_types":["code"],"token_endpoint_auth_method":"none"}', NULL, 'enabled', 1800000000000, NULL, 4260868098, 1800000000000, 1800003600000, NULL, 1800000000000, NULL, NULL, NULL, NULL, NULL, 'approved', X'147E53EFDA2887CBC3D12D99A38A9BF519DA02609D12819B56498791765AFD42', X'74234E98AFE7498FB5DAF1F36AC2D78ACC339464F950703B8C019892F982B90B', NULL),
    (4, 'default', 'https://shipped.example/client.json', 'document', '{"client_name":"shipped","grant_types":["authorization_code","refresh_token"],"redirect_uris":["https://app.example/cb"],"response_types":["code"],"token_endpoint_auth_method":"none"}', NULL, 'enabled', 1800000000000, NULL, 731106363, 1800000000000, 1800003600000, NULL, 1800000000000, 'shipped', NULL, NULL, NULL, NULL, 'rejected', X'C546122CAF0EA3D282702C6915B7F397AE17FC28E6AE85607BE4FABF65B94DA6', X'74234E98AFE7498FB5DAF1F36AC2D78ACC339464F950703B8C019892F982B90B', NULL);
INSERT OR REPLACE INTO client_secret (client_no, position, tenant, hash, until, created_at) VALUES
    (2, 0, 'default', X'11507A0E2F5E69D5DFA40A62A1BD7B6EE57E6BCD85C67C9B8431B36FFF21C437', NULL, 1800000000000),
    (2, 1, 'default', X'CBA06B5736FAF67E54B07B561EAE94395E774C517A7D910A54369E1263CCFBD4', 1800086400000, 1800000000000);
INSERT OR REPLACE INTO account (no, tenant, subject, name, password, status, failed_logins, created_at, password_set_at, seal, last_failed_at, kind) VALUES
    (1, 'default', 'u-alice', 'alice', '$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g', 'enabled', 0, 1800000000000, 1800000000000, 2711428113, NULL, 'person'),
    (2, 'default', 'u-bob', 'robert', '$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g', 'enabled', 1, 1800000000000, 1800000000000, 812732263, 1800000000000, 'person'),
    (3, 'default', 'u-robot', 'robot', NULL, 'enabled', 0, 1800000000000, NULL, 121783640, NULL, 'service');
INSERT OR REPLACE INTO setup_link (hash, tenant, account_no, expires_at, seal, made_at) VALUES
    (X'2BD806C97F0E00AF1A1FC3328FA763A9269723C8DB8FAC4F93AF71DB186D6E90', 'default', 1, 1800003600000, 4126431363, NULL),
    (X'81B637D8FCD2C6DA6359E6963113A1170DE795E4B725B84D1E0B4CFD9EC58CE9', 'default', 2, 1800003600000, 2201899285, 1800000000000);
INSERT OR REPLACE INTO login_session (hash, tenant, account_no, authenticated_at, idle_until, idle, expires_at, seal, failures_before, last_failure_at) VALUES
    (X'043A718774C572BD8A25ADBEB1BFCD5C0256AE11CECF9F9C3F925D0E52BEAF89', 'default', 1, 1800000000000, 1800003600000, 3600000, 1800086400000, 709997562, NULL, NULL),
    (X'AD328846AA18B32A335816374511CAC1063C704B8C57999E51DA9F908290A7A4', 'default', 1, 1800000000000, 1800003600000, 3600000, 1800086400000, 2253260514, 2, 1800000000000);
INSERT OR REPLACE INTO consent (account_no, client_no, resource, tenant, scopes, client_fingerprint, given_at, expires_at, seal, exclusions) VALUES
    (1, 1, 'https://gate.example/mcp', 'default', 'read', X'44863B03E9909B7100E05B02526909A346FD7455183F6619E0FE6198C89981E0', 1800000000000, 1800086400000, 2124305890, '{"groups":["reading read"],"tools":["delete_note"]}');
INSERT OR REPLACE INTO grants (no, tenant, id, client_no, account_no, resource, scopes, authenticated_at, created_at, expires_at, idle_until, may_refresh, generation, rotated_at, revoked_at, seal, first_use, retried_at, last_used_at, exclusions, consented_at, key_name, key_hint, key_addresses, by_assertion, acting, signed_in_address, signed_in_agent, workload) VALUES
    (1, 'default', X'CD0AA9856147B6C5B4FF2B7DFEE5DA20', 1, 1, 'https://gate.example/mcp', 'read write', 1800000000000, 1800000000000, 1807776000000, 1802592000000, 1, 0, 1800000000000, NULL, 870454108, NULL, NULL, 1800000000000, '{"groups":["reading read"],"tools":["delete_note"]}', 1800000000000, NULL, NULL, NULL, 0, 0, '203.0.113.7', 'Browser/1.0', NULL),
    (2, 'default', X'E87BA7A0B779D8B797F86D1960450449', 1, 1, 'https://gate.example/mcp', 'read write', 1800000000000, 1800000000000, 1807776000000, 1802592000000, 1, 0, 1800000000000, 1800000000000, 2839253891, NULL, NULL, NULL, NULL, 1800000000000, NULL, NULL, NULL, 0, 0, '203.0.113.7', 'Browser/1.0', NULL),
    (3, 'default', X'76F75E6129FE30135BD44D80AB7CC46F', 1, 1, 'https://gate.example/mcp', 'read write', 1800000000000, 1800000000000, 1807776000000, 1802592000000, 1, 1, 1800000000000, NULL, 1522227124, NULL, 1800003600000, NULL, '{"groups":["reading read"],"tools":["delete_note"]}', 1800000000000, NULL, NULL, NULL, 0, 0, '203.0.113.7', 'Browser/1.0', NULL),
    (4, 'default', X'8254C329A92850F6D539DD376F4816EE', 1, 1, 'https://gate.example/mcp', 'read', 1800000000000, 1800000000000, 1800003600000, 1800003600000, 0, 0, 1800000000000, NULL, 865606961, NULL, NULL, NULL, '{"groups":["reading read"],"tools":["delete_note"]}', 1800000000000, 'k', 'abcd', '192.0.2.0/24', 0, 0, NULL, NULL, NULL),
    (5, 'default', X'94F27031FAD001FCC75F856ECCC680D5', 1, 1, 'https://gate.example/mcp', 'read', 1800000000000, 1800000000000, 1800086400000, 1800086400000, 0, 0, 1800000000000, 1800000000000, 3934564165, NULL, NULL, NULL, NULL, 1800000000000, NULL, NULL, NULL, 1, 1, NULL, NULL, NULL),
    (6, 'default', X'D1278A72BE0A44C92E6875CB20D7CCC4', 1, 1, 'https://gate.example/mcp', 'read write', 1800000000000, 1800000000000, 1807776000000, 1802592000000, 1, 0, 1800000000000, NULL, 2982076678, NULL, NULL, NULL, '{"groups":["reading read"],"tools":["delete_note"]}', 1800000000000, NULL, NULL, NULL, 1, 0, '203.0.113.7', 'Browser/1.0', NULL),
    (7, 'default', X'B31A19BE52673933235CB1EC27672F1F', 1, 3, 'https://gate.example/mcp', 'read', 1800000000000, 1800000000000, 1800003600000, 1800003600000, 0, 0, 1800000000000, NULL, 4248164007, NULL, NULL, NULL, NULL, 1800000000000, NULL, NULL, NULL, 0, 0, NULL, NULL, 'https://issuer.example job 1');
INSERT OR REPLACE INTO code (no, tenant, hash, grant_id, grant_no, client_no, account_no, redirect_uri, redirect_was_sent, challenge, challenge_method, resource, scopes, authenticated_at, issued_at, expires_at, used_at, failures, seal, exclusions, consented_at, signed_in_address, signed_in_agent) VALUES
    (1, 'default', X'CD0AA9856147B6C5B4FF2B7DFEE5DA20AA38253099EF1B4A64ACED233C9AFE29', X'CD0AA9856147B6C5B4FF2B7DFEE5DA20', 1, 1, 1, 'https://app.example/cb', 1, 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM', 'S256', 'https://gate.example/mcp', 'read write', 1800000000000, 1800000000000, 1800000060000, 1800000000000, 0, 83381124, NULL, 1800000000000, '203.0.113.7', 'Browser/1.0'),
    (2, 'default', X'E87BA7A0B779D8B797F86D19604504496F23B4D1E31ED4721D9DC8634172B723', X'E87BA7A0B779D8B797F86D1960450449', 2, 1, 1, 'https://app.example/cb', 1, 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM', 'S256', 'https://gate.example/mcp', 'read write', 1800000000000, 1800000000000, 1800000060000, 1800000000000, 0, 4207714988, NULL, 1800000000000, '203.0.113.7', 'Browser/1.0'),
    (3, 'default', X'76F75E6129FE30135BD44D80AB7CC46FDBA81907758DC808F3E2517BEEF2B1E9', X'76F75E6129FE30135BD44D80AB7CC46F', 3, 1, 1, 'https://app.example/cb', 1, 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM', 'S256', 'https://gate.example/mcp', 'read write', 1800000000000, 1800000000000, 1800000060000, 1800000000000, 0, 481434168, NULL, 1800000000000, '203.0.113.7', 'Browser/1.0'),
    (4, 'default', X'2E7D2C03A9507AE265ECF5B5356885A53393A2029D241394997265A1A25AEFC6', X'2E7D2C03A9507AE265ECF5B5356885A5', NULL, 1, 1, 'https://app.example/cb', 1, 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM', 'S256', 'https://gate.example/mcp', 'read write', 1800000000000, 1800000000000, 1800000060000, NULL, 0, 3383313326, '{"groups":["reading read"],"tools":["delete_note"]}', 1800000000000, '203.0.113.7', 'Browser/1.0'),
    (5, 'default', X'D1278A72BE0A44C92E6875CB20D7CCC47F9BA41F254D45DDF7257EA3AD1FDBE3', X'D1278A72BE0A44C92E6875CB20D7CCC4', 6, 1, 1, 'https://app.example/cb', 1, 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM', 'S256', 'https://gate.example/mcp', 'read write', 1800000000000, 1800000000000, 1800000060000, 1800000000000, 0, 3758999404, '{"groups":["reading read"],"tools":["delete_note"]}', 1800000000000, '203.0.113.7', 'Browser/1.0');
INSERT OR REPLACE INTO access_token (no, tenant, hash, grant_no, scopes, issued_at, expires_at, seal, generation) VALUES
    (1, 'default', X'E4291DC97C088B8B52B7371B617320B4E35E2FEA6A35131C6BE36787E607DF07', 1, NULL, 1800000000000, 1800003600000, 2360036484, 0),
    (2, 'default', X'86CAC87D4D901073E3EB5E81334F4CB74740367C372BA013BE878AB179B134F9', 3, NULL, 1800000000000, 1800003600000, 2376623475, 0),
    (3, 'default', X'B4C9E14061C2FD453B36700E3B0DA008DB2189C711AC629F0F583089164E267D', 3, NULL, 1800003600000, 1800007200000, 2782006612, 1),
    (4, 'default', X'8254C329A92850F6D539DD376F4816EE2764517DA5E0235514AF433164480D7A', 4, NULL, 1800000000000, 1800003600000, 2825304446, 0),
    (5, 'default', X'C5C1BE3D6C455BAC06B5FF6C29536B4B648D7E486480680876BF9D3F36B69735', 6, NULL, 1800000000000, 1800003600000, 2808423566, 0),
    (6, 'default', X'B31A19BE52673933235CB1EC27672F1F80516F793BD25B0B5501335ED7610D8C', 7, NULL, 1800000000000, 1800003600000, 2016564240, 0);
INSERT OR REPLACE INTO audit (no, at, tenant, event, actor, client_id, address, target, reason, request_id, subject, resource, scopes) VALUES
    (1, 1800000000000, 'default', 'client.registered', 'u-alice', 'mcp_client_app', '192.0.2.7', NULL, NULL, 'r-1', NULL, NULL, NULL),
    (2, 1800000000000, 'default', 'account.added', 'u-alice', 'mcp_client_app', '192.0.2.7', NULL, NULL, 'r-1', NULL, NULL, NULL),
    (3, 1800000000000, 'default', 'account.added', 'u-alice', 'mcp_client_app', '192.0.2.7', NULL, NULL, 'r-1', NULL, NULL, NULL),
    (4, 1800000000000, 'default', 'client.added', 'u-alice', 'mcp_client_app', '192.0.2.7', NULL, NULL, 'r-1', NULL, NULL, NULL),
    (5, 1800000000000, 'default', 'client.secret_rotated', 'u-alice', 'mcp_client_app', '192.0.2.7', NULL, NULL, 'r-1', NULL, NULL, NULL),
    (6, 1800000000000, 'default', 'client.approved', 'u-alice', 'mcp_client_app', '192.0.2.7', NULL, NULL, 'r-1', NULL, NULL, NULL),
    (7, 1800000000000, 'default', 'client.approved', 'u-alice', 'mcp_client_app', '192.0.2.7', NULL, NULL, 'r-1', NULL, NULL, NULL),
    (8, 1800000000000, 'default', 'code.issued', 'u-alice', 'mcp_client_app', '192.0.2.7', NULL, NULL, 'r-1', NULL, NULL, NULL),
    (9, 1800000000000, 'default', 'code.redeemed', 'u-alice', 'mcp_client_app', '192.0.2.7', 'cd0aa9856147b6c5b4ff2b7dfee5da20', NULL, 'r-1', 'u-alice', 'https://gate.example/mcp', 'read write'),
    (10, 1800000000000, 'default', 'code.issued', 'u-alice', 'mcp_client_app', '192.0.2.7', NULL, NULL, 'r-1', NULL, NULL, NULL),
    (11, 1800000000000, 'default', 'code.redeemed', 'u-alice', 'mcp_client_app', '192.0.2.7', 'e87ba7a0b779d8b797f86d1960450449', NULL, 'r-1', 'u-alice', 'https://gate.example/mcp', 'read write'),
    (12, 1800000000000, 'default', 'grant.revoked', 'u-alice', 'mcp_client_app', '192.0.2.7', NULL, NULL, 'r-1', NULL, NULL, NULL),
    (13, 1800000000000, 'default', 'code.issued', 'u-alice', 'mcp_client_app', '192.0.2.7', NULL, NULL, 'r-1', NULL, NULL, NULL),
    (14, 1800000000000, 'default', 'code.redeemed', 'u-alice', 'mcp_client_app', '192.0.2.7', '76f75e6129fe30135bd44d80ab7cc46f', NULL, 'r-1', 'u-alice', 'https://gate.example/mcp', 'read write'),
    (15, 1800000000000, 'default', 'token.refreshed', 'u-alice', 'mcp_client_app', '192.0.2.7', '76f75e6129fe30135bd44d80ab7cc46f', NULL, 'r-1', 'u-alice', 'https://gate.example/mcp', 'read write'),
    (16, 1800003600000, 'default', 'token.refreshed', 'u-alice', 'mcp_client_app', '192.0.2.7', '76f75e6129fe30135bd44d80ab7cc46f', 'lost_answer', 'r-1', 'u-alice', 'https://gate.example/mcp', 'read write'),
    (17, 1800000000000, 'default', 'key.created', 'u-alice', 'mcp_client_app', '192.0.2.7', '8254c329a92850f6d539dd376f4816ee', NULL, 'r-1', 'u-alice', 'https://gate.example/mcp', 'read'),
    (18, 1800000000000, 'default', 'token.issued_for_person', 'u-alice', 'mcp_client_app', '192.0.2.7', '94f27031fad001fcc75f856eccc680d5', NULL, 'r-1', 'u-alice', 'https://gate.example/mcp', 'read'),
    (19, 1800000000000, 'default', 'grant.revoked', 'u-alice', 'mcp_client_app', '192.0.2.7', NULL, NULL, 'r-1', NULL, NULL, NULL),
    (20, 1800000000000, 'default', 'code.issued', 'u-alice', 'mcp_client_app', '192.0.2.7', NULL, NULL, 'r-1', NULL, NULL, NULL),
    (21, 1800000000000, 'default', 'code.issued', 'u-alice', 'mcp_client_app', '192.0.2.7', NULL, NULL, 'r-1', NULL, NULL, NULL),
    (22, 1800000000000, 'default', 'code.redeemed', 'u-alice', 'mcp_client_app', '192.0.2.7', 'd1278a72be0a44c92e6875cb20d7ccc4', NULL, 'r-1', 'u-alice', 'https://gate.example/mcp', 'read write'),
    (23, 1800000000000, 'default', 'login.succeeded', 'u-alice', 'mcp_client_app', '192.0.2.7', NULL, NULL, 'r-1', NULL, NULL, NULL),
    (24, 1800000000000, 'default', 'login.succeeded', 'u-alice', 'mcp_client_app', '192.0.2.7', NULL, NULL, 'r-1', NULL, NULL, NULL),
    (25, 1800000000000, 'default', 'account.setup_link_made', 'u-alice', 'mcp_client_app', '192.0.2.7', NULL, NULL, 'r-1', NULL, NULL, NULL),
    (26, 1800000000000, 'default', 'account.setup_link_made', 'u-alice', 'mcp_client_app', '192.0.2.7', NULL, NULL, 'r-1', NULL, NULL, NULL),
    (27, 1800000000000, 'default', 'group.member_added', 'u-alice', 'mcp_client_app', '192.0.2.7', NULL, NULL, 'r-1', NULL, NULL, NULL),
    (28, 1800000000000, 'default', 'account.renamed', 'u-alice', 'mcp_client_app', '192.0.2.7', NULL, NULL, 'r-1', NULL, NULL, NULL),
    (29, 1800000000000, 'default', 'account.added', 'u-alice', 'mcp_client_app', '192.0.2.7', NULL, NULL, 'r-1', NULL, NULL, NULL),
    (30, 1800000000000, 'default', 'token.issued_by_operator', 'u-alice', 'mcp_client_app', '192.0.2.7', NULL, NULL, 'r-1', NULL, NULL, NULL),
    (31, 1800000000000, 'default', 'tool.changed', 'u-alice', 'mcp_client_app', '192.0.2.7', NULL, 'add changed: description: "sub" is now "new"', 'r-1', NULL, NULL, NULL),
    (32, 1800000000000, 'default', 'tool.changed', 'u-alice', 'mcp_client_app', '192.0.2.7', NULL, 'new new: description: new: "new"; name: new: "new"; title: new: "T"', 'r-1', NULL, NULL, NULL),
    (33, 1800000000000, 'default', 'client.adopted', 'u-alice', 'mcp_client_app', '192.0.2.7', NULL, NULL, 'r-1', NULL, NULL, NULL),
    (34, 1800000000000, 'default', 'client.adopted', 'u-alice', 'mcp_client_app', '192.0.2.7', NULL, NULL, 'r-1', NULL, NULL, NULL);
INSERT OR REPLACE INTO change_log (seq, at, tenant, kind, key) VALUES
    (1, 1800000000000, 'default', 'grant_revoked', 'e87ba7a0b779d8b797f86d1960450449'),
    (2, 1800003600000, 'default', 'access_token_revoked', '4f15f97167917ff38a8b521a7b4b6bdc6773789ca76f3bda0da40f440ee4dbeb'),
    (3, 1800000000000, 'default', 'grant_revoked', '94f27031fad001fcc75f856eccc680d5'),
    (4, 1800000000000, 'default', 'account_groups_changed', 'u-alice'),
    (5, 1800000000000, 'default', 'account_groups_changed', 'u-alice'),
    (6, 1800000000000, 'default', 'account_groups_changed', 'u-alice'),
    (7, 1800000000000, 'default', 'account_groups_changed', 'u-alice'),
    (8, 1800000000000, 'default', 'account_renamed', 'u-bob');
INSERT OR REPLACE INTO login_network (account_no, network, tenant, last_login_at) VALUES
    (1, '198.51.100.0', 'default', 1800000000000),
    (1, '198.51.100.7/32', 'default', 1800000000000);
INSERT OR REPLACE INTO void_token (hash, tenant, grant_no, expires_at, seal) VALUES
    (X'4F15F97167917FF38A8B521A7B4B6BDC6773789CA76F3BDA0DA40F440EE4DBEB', 'default', 3, 1800086400000, 261613028);
INSERT OR REPLACE INTO clock (one, seen_at, accepted_at) VALUES
    (1, 1800000000000, NULL);
INSERT OR REPLACE INTO login_failure (tenant, name, failures, last_failed_at) VALUES
    ('default', X'367C48288C4063414F105E6EF3E6DA4FB3FD755DA87035CECB58DFADFF77381A', 1, 1800000000000),
    ('default', X'E97D3095146E380651678ADB947407C88BDFD0CD01BC65B82872B14DC0D07B9D', 1, 1800000000000);
INSERT OR REPLACE INTO client_count (tenant, origin, clients) VALUES
    ('default', 'document', 2),
    ('default', 'manual', 1),
    ('default', 'registered', 1);
INSERT OR REPLACE INTO audit_size (only_row, counted_after, bytes, routine_bytes, routine_gone) VALUES
    (1, 0, 3915, 517, 0);
INSERT OR REPLACE INTO former_name (tenant, name, subject) VALUES
    ('default', 'bob', 'u-bob');
INSERT OR REPLACE INTO ephemeral (no, tenant, kind, key, browser, client_no, body, step, ended, session_hash, source, host, pool, pool_site, pool_host, weight, created_at, expires_at, seal) VALUES
    (1, 'default', 'interaction', X'762D3CB354D084E1DCC0A34E28652FA04D918CDB335E9BC227CFB7507AEAD97A', X'41A63197AF40352DC18ED2249727FB9F9784E82E630D45EEB81FDA78D7BA43B4', 1, '{"state":"s"}', 'ended', 1, NULL, NULL, NULL, 'interaction stranger', '0.0.0.0', '0.0.0.0', 1, 1800000000000, 1800000600000, 808502111),
    (2, 'default', 'interaction', X'82E3D23D2B279EC9812585652B4EE9B5FE0B8D9CF90741D1924253ED77B162E9', X'2264F53EAA65896B7BE033E26723EDA66AAF00B4BA6D990AC94C97799F1FD12B', 1, '{"state":"s"}', 'ended', 1, NULL, NULL, NULL, 'interaction stranger', '0.0.0.0', '0.0.0.0', 1, 1800000000000, 1800000600000, 39990495),
    (3, 'default', 'interaction', X'CE38E0B9ACDE3AB526511FF8F97D844C76DCBF63A28509FEE653ED6EFA5E66EF', X'6A4507E39F4807FDEE6EB6B00BDED66518355A26C9BEE5AC6543D0ED0F21DE84', 1, '{"state":"s"}', 'ended', 1, NULL, NULL, NULL, 'interaction stranger', '0.0.0.0', '0.0.0.0', 1, 1800000000000, 1800000600000, 2354545037),
    (4, 'default', 'interaction', X'C1FD68E554533961CCBC9A800ABCE8683F23A35B44E1779C402C0DEF0DEAFB9D', X'073B05DB4F326912BE2B8768F69B71187102BA7A766ACAB9B99158B9C050D104', 1, '{"state":"s"}', 'ended', 1, NULL, NULL, NULL, 'interaction stranger', '0.0.0.0', '0.0.0.0', 1, 1800000000000, 1800000600000, 1271702229),
    (5, 'default', 'interaction', X'C2F0A5D8AE39303F3F65B3BD742E34652314751A9E4078BADEDC7CF1E8A959BE', X'AAD91EDCA6424A9C3A0E5BF26E5E09C143E59A511459A0511DC8B970D7521EC3', 1, '{"state":"s"}', 'ended', 1, NULL, NULL, NULL, 'interaction stranger', '0.0.0.0', '0.0.0.0', 1, 1800000000000, 1800000600000, 500059426),
    (6, 'default', 'interaction', X'44CAF65098E59E85D3B494B372B5B32E9D8640B3D4D293605EF9F9D57E571FC8', X'E8668A39B4615EB048105EB327048A94E012CF0C7A71A760C1DF8E4850E66E2A', 1, '{"state":"s"}', 'consent', 0, NULL, NULL, NULL, 'interaction stranger', '0.0.0.0', '0.0.0.0', 1, 1800000000000, 1800000600000, 3003657076),
    (7, 'default', 'interaction', X'BF6728E50ABDF2BDBC61E4420658D5BD451A75146066F76B35E574280ED2BA5E', X'2AF0DFCEB04D153BEE47FD6A5E9649C47632D19B5FD12805E459F76ED4576C0C', 1, '{"state":"s"}', 'consent', 0, NULL, '198.51.100.0', '198.51.100.7', 'interaction stranger', '198.51.100.0', '198.51.100.7', 1, 1800000000000, 1800000600000, 2233364778);
INSERT OR REPLACE INTO ephemeral_weight (pool, site, host, weight, newest) VALUES
    ('interaction stranger', '', '', 7, 0),
    ('interaction stranger', '0.0.0.0', '', 6, 6),
    ('interaction stranger', '0.0.0.0', '0.0.0.0', 6, 6),
    ('interaction stranger', '198.51.100.0', '', 1, 7),
    ('interaction stranger', '198.51.100.0', '198.51.100.7', 1, 7);
INSERT OR REPLACE INTO group_member (account_no, name, tenant, seal) VALUES
    (1, 'staff', 'default', 2360793133);
INSERT OR REPLACE INTO catalogue (tenant, upstream, listed_at, pinned_at, seal, names) VALUES
    ('default', 'files', 1800000000000, 1800000000000, 571232902, '{"prompts":["greet 👋"],"resources":["file:///a"],"templates":["file:///{path}"]}');
INSERT OR REPLACE INTO tool (tenant, upstream, name, title, says, most_dangerous, listed_hash, listed, pinned_hash, pinned, since, seal, milder_since) VALUES
    ('default', 'files', 'add', 'T', 9, 9, X'4AD53B1195B7D0483B68ACA33D4989A69F2A12F287C4971CE00F88077920DB8C', '{"description":"new","name":"add","title":"T"}', X'36B063F4AAF33845CD3F1901A9B9E01AA93E09902ED02B77D11A169C8B8D1345', '{"description":"sub","name":"add","title":"T"}', 1800000000000, 4230479757, NULL),
    ('default', 'files', 'milder', 'T', 13, 6, X'25CA71C3F29024D8D8633558FB42ED63F61B8033589B0C5CE90CA3A2E08FBE44', '{"description":"Reads.","name":"milder","title":"T"}', X'25CA71C3F29024D8D8633558FB42ED63F61B8033589B0C5CE90CA3A2E08FBE44', '{"description":"Reads.","name":"milder","title":"T"}', 1800000000000, 3099450014, 1800000000000),
    ('default', 'files', 'new', 'T', 9, 9, X'710803E0255CB82D7CEC25B913E905D3B7F6525EB906A3AB77B1C1E4D166C8E7', '{"description":"new","name":"new","title":"T"}', NULL, NULL, 1800000000000, 3300995278, NULL),
    ('default', 'files', 'sub', 'T', 9, 9, NULL, NULL, X'9DBD8BC6601677EB1D97DCF1473B65071018D169B5B0B99B8944BA0DC6A19493', '{"description":"sub","name":"sub","title":"T"}', 1800000000000, 1912561688, NULL);
INSERT OR REPLACE INTO quota (tenant, upstream, name, day, holder, used, seal) VALUES
    ('default', 'files', 'a', 1799971200000, 'user alice', 7, 1620930708);
INSERT OR REPLACE INTO left_out (account_no, client_no, resource, tenant, exclusions, seal) VALUES
    (1, 1, 'https://gate.example/mcp', 'default', '{"groups":["reading read"],"tools":["delete_note"]}', 2704156147);
INSERT OR REPLACE INTO ended_acting (account_no, client_no, tenant, ended_at, seal) VALUES
    (1, 1, 'default', 1800000000000, 523590171);
INSERT OR REPLACE INTO table_mark (tenant, kind, id, client_no, account_no, seal) VALUES
    ('default', 'account', 'of-the-file', NULL, 1, 2783303453),
    ('default', 'client', 'of-the-file', 2, NULL, 2007768948);
