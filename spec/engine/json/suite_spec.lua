-- The cases of JSONTestSuite, written down anew: what has to be taken, what
-- has to be refused, and what becomes of that which the standard leaves open.
-- Each goes through the scanner, the decoder, an import, and the tables of
-- both stores, and comes to the same everywhere.
--
-- A case is a line; %HH is the byte HH.

local helper = require "spec.helper"
local json = require "json_test"
local lunette = require "lunette"
local postgres = require "spec.postgres_server"
local workplace = require "spec.engine.cli.workplace"

local function cases(text)
  local list = {}
  for line in text:gmatch "[^\n]+" do
    list[#list + 1] = line:gsub("%%(%x%x)", function(hex)
      return string.char(tonumber(hex, 16))
    end)
  end
  return list
end

-- Each inside an array.
local function arrays(text)
  local list = {}
  for word in text:gmatch "%S+" do
    list[#list + 1] = "[" .. cases(word)[1] .. "]"
  end
  return list
end

local function join(...)
  local all = {}
  for _, list in ipairs { ... } do
    table.move(list, 1, #list, #all + 1, all)
  end
  return all
end

-- ---- to be taken

local taken = join(cases [=[
[[]   ]
[]
[""]
["a"]
[false]
[true]
[null]
[null, 1, "1", {}]
[1%0A]
 [1]
[1,null,null,null,2]
[2]%20
 []%20
["a"]%0A
[ 4]
{}
{"":0}
{"asd":"sdf"}
{"asd":"sdf", "dfg":"fgh"}
{"foo\u0000bar": 42}
{ "min": -1.0e+28, "max": 1.0e+28 }
{"a":[]}
{%0A"a": "b"%0A}
{"title":"\u041f\u043e\u043b\u0442\u043e\u0440\u0430" }
["\u0060\u012a\u12AB"]
["\"\\\/\b\f\n\r\t"]
["a/*b*/c/*d//e"]
[ "asd"]
["asd "]
[" "]
" "
""
"asd"
true
false
null
42
-0.1
]=], arrays [=[
123e65 0e+1 0e1 20e1 -0 -0.0 -123 -1 1E22 1E-2 1E+2 123e45 123.456e78 1e-2 1e+2
123 123.456789
-0.000000000000000000000000000000000000000000000000000000000000000000000000001
"\uD801\udc37" "\ud83d\ude39\ud83d\udc8d" "\\u0000" "\"" "\\a" "\\n" "\u0012"
"\uFFFF" "\uDBFF\uDFFF" "new\u00A0line" "%F4%8F%BF%BF" "%EF%BF%BF" "\u0000"
"\u002c" "%CF%80" "%F0%9B%BF%BF" "\uD834\uDd1e" "\u0821" "\u0123" "%E2%80%A8"
"%E2%80%A9" "\u0061\u30af\u30EA\u30b9" "new\u000Aline" "%7F" "\uA66D" "\u005C"
"%E2%8D%82%E3%88%B4%E2%8D%82" "\uDBFF\uDFFE" "\uD83F\uDFFE" "\u200B" "\u2064"
"\uFDD0" "\uFFFE" "\u0022" "%E2%82%AC%F0%9D%84%9E" "a%7Fa"
]=], { '{"x":[{"id": "' .. ("x"):rep(40) .. '"}], "id": "' .. ("x"):rep(40)
  .. '"}' })

-- ---- to be refused

local refused = join(cases [=[
%20
[1 true]
[a%E5]
["": 1]
[""],
[,1]
[1,,2]
["x",,]
["x"]]
["",]
["x"
[x
[3[4]]
[%FF]
[1:2]
[,]
[-]
[   , ""]
["a",%0A4%0A,1,
[1,]
[1,,]
["%0Ba"\f]
[*]
[""
[1,
[1,%0A1%0A,1
[{}
[fals]
[nul]
[tru]
123%00
[- 1]
[1 000.0]
["x", truth]
[0%E5]%0A
{[: "x"}%0A
{"x", null}
{"x"::"b"}
{%F0%9F%87%A8%F0%9F%87%AD}
{"a":"a" 123}
{key: 'value'}
{"%B9":"0",}
{"a" b}
{:"b"}
{"a" "b"}
{"a":
{"a"
{1:1}
{9999E9999:1}
{null:null,null:null}
{"id":0,,,,,}
{'a':0}
{"id":0,}
{"a":"b"}/**/
{"a":"b"}/**//
{"a":"b"}//
{"a":"b"}/
{"a":"b",,"c":"d"}
{a: "b"}
{"a":"a
{ "foo" : "bar", "a" }
{"a":"b"}#
["\uD800\"]
["\uD800\u"]
["\uD800\u1"]
["\uD800\u1x"]
["\%00"]
["\x00"]
["\\\"]
["\%09"]
["\%F0%9F%8C%80"]
["\"]
["\u00A"]
["\uD834\uDd"]
["\uD800\uD800\x"]
["\u%E5"]
["\a"]
["\uqqqq"]
["\%E5"]
[\u0020"asd"]
[\n]
"
['single quote']
abc
["\
["a%00a"]
["new%0Aline"]
["%09"]
"\UA66D"
""x
<.>
[<null>]
[1]x
[1]]
["asd]
a%C3%A5
[True]
1]
{"x": true,
[][]
]
%EF%BB{}
%E5
[
[%00]
2@
{}}
{"":
{"a":/*comment*/"b"}
{"a": true} "x"
['
[,
[{
["a
["a"
{
{]
{,
{[
{"a
{'a'
["\{["\{["\{["\{
%E9
*
{"a":"b"}#{}
[\u000A""]
[1
[ false, nul
[ true, fals
[ false, tru
{"asd":"asd"
%C3%A5
%EF%BB%BF
]=], arrays [=[
++1234 +1 +Inf -01 -1.0. -2. -NaN .-1 .2e-3 0.1.2 0.3e+ 0.3e 0.e1 0E+ 0E 0e+ 0e
1.0e+ 1.0e- 1.0e 1eE2 2.e+3 2.e-3 2.e3 9.e+ Inf NaN %EF%BC%91 1+2 0x1 0x42
Infinity 0e+-1 -123.123foo 123%E5 1e1%E5 -Infinity -foo -012 -.123 -1x 1ea 1e%E5
1. .123 1.2a-3 1.8011670033376514H-308 012 %C3%A9 %E2%81%A0 %0C
]=], { ("["):rep(100000), ('[{"":'):rep(50000) })

-- ---- left open by the standard, with what becomes of it here

local open = {
  { "the nearest double", true, join(arrays [[
    123.456e-789 123e-10000000 -123123123123123123123123123123
    100000000000000000000 -237462374673276894279832749832423479823246327846
  ]]) },
  { "beyond every double", false, join(arrays [[
    -1e+9999 1.5e+9999 -123123e100000 123123e100000
  ]], { "[0.4e00" .. ("6"):rep(60) .. "]" }) },
  { "half of a surrogate pair", false, join(cases [[
{"\uDFAA":0}
]], arrays [[
    "\uDADA" "\uD888\u1234" "\uD800\n" "\uDd1ea" "\uD800\uD800\n" "\ud800"
    "\ud800abc" "\uDd1e\uD834" "\uDFAA"
  ]]) },
  { "no UTF-8", false, arrays [[
    "%E6%97%A5%D1%88%FA" "%ED%A0%80" "%FF" "%E9" "%81" "%F4%BF%BF%BF" "%C0%AF"
    "%FC%83%BF%BF%BF%BF" "%FC%80%80%80%80%80" "%E0%FF"
  ]] },
  { "UTF-16", false, cases [[
%FF%FE[%00"%00%E9%00"%00]%00
%00[%00"%00%E9%00"%00]
[%00"%00%E9%00"%00]%00
]] },
  { "a byte order mark", false, { "\xef\xbb\xbf{}" } },
  { "nested too deep", false, { ("["):rep(500) .. ("]"):rep(500) } },
  { "a key that is there twice", false, {
    '{"a":"b","a":"c"}', '{"a":"b","a":"b"}' } },
}

-- In tables of others such a number has the form of JSON; a script that reads
-- it fails.
local beyond = open[2][3]

for _, group in ipairs(open) do
  local list = group[2] and taken or refused
  table.move(group[3], 1, #group[3], #list + 1, list)
end

describe("a case of JSONTestSuite", function()
  it("is there with all the others", function()
    assert.is_true(#taken + #refused > 300)
  end)

  it("is taken or refused by the scanner", function()
    for _, text in ipairs(taken) do
      assert(json.check(text), text)
    end
    for _, text in ipairs(refused) do
      assert.is_falsy((json.check(text)), text:sub(1, 100))
    end
  end)

  it("is taken or refused by the decoder", function()
    for _, text in ipairs(taken) do
      local value, err = lunette.decode(text)
      assert(value ~= nil, err)
      assert(lunette.decode(lunette.encode(value)) ~= nil)
    end
    for _, text in ipairs(refused) do
      local value, err = lunette.decode(text)
      assert.is_nil(value, text:sub(1, 100))
      assert.matches("invalid JSON at byte %d+", err)
    end
  end)

  -- What is within one line.
  local function lines_of(list)
    local lines = {}
    for _, text in ipairs(list) do
      if not text:find "[\r\n]" then
        lines[#lines + 1] = '{"stream":"s","type":"T","data":' .. text .. "}"
      end
    end
    return lines
  end

  it("is taken or refused in an import", function()
    local place = workplace.new()
    local lines = lines_of(taken)
    place:done({ "import", "-" }, { stdin = table.concat(lines, "\n") .. "\n" })
    assert.equal(tostring(#lines), place:sql("bank.db",
      "SELECT count(*) FROM events"))
    local r = helper.random(1)
    lines = lines_of(refused)
    for _ = 1, 25 do -- each is a run of the command
      local code, _, err = place:run({ "import", "-" },
        { stdin = r:pick(lines) .. "\n" })
      assert.equal(1, code)
      assert.matches("line 1", err)
    end
  end)

  local script = [[
    local function walk(value)
      local kind = type(value)
      if kind == "table" or kind == "userdata" and value ~= lunette.null then
        for _, part in pairs(value) do
          walk(part)
        end
      end
    end

    return {
      name = "seen",
      version = 1,
      on_error = "park",
      fields = { n = "integer" },
      extract_model_id = function(event) return event.stream end,
      apply_to_model = function(_, event)
        walk(event.data)
        return { n = event.version }
      end,
    }
  ]]

  -- Every case as the data of an event: those taken make a model, those
  -- refused are parked or skipped, and none stops the others.
  local function apply(events, count)
    local engine <close> = assert(lunette.open {
      events = events, models = "memory:",
    })
    assert(engine:register { source = script, name = "seen.lua" })
    assert(engine:run_once())
    assert.equal(count, #assert(engine:query("seen", { "limit=1000" })))
    local errors = 0
    for _, event in ipairs(assert(engine:events { limit = 1000 })) do
      errors = errors + (event.data_error and 1 or 0)
    end
    return errors, #assert(engine:parked "seen")
  end

  local function hex(text)
    return (text:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
  end

  it("is an event or none in a sqlite table", function()
    local folder = helper.tmpdir()
    local file = folder .. "/other.db"
    local statements = { [[CREATE TABLE emt_messages (stream_id TEXT,
      stream_position BIGINT, partition TEXT, message_kind CHAR(1),
      message_data TEXT, message_metadata TEXT, message_schema_version
      TEXT, message_type TEXT, message_id TEXT UNIQUE, is_archived BOOLEAN,
      global_position INTEGER PRIMARY KEY, created DATETIME);]] }
    local all = join(taken, refused)
    for i, text in ipairs(all) do
      if #text < 10000 then
        statements[#statements + 1] = ([[INSERT INTO emt_messages VALUES ('s%d',
          1, 'emt:default', 'E', CAST(x'%s' AS TEXT), '{}', '1', 'T', 'm%d', 0,
          NULL, '2026-01-01 00:00:00');]]):format(i, hex(text), i)
      end
    end
    local code, _, err = helper.run({ "sqlite3", file },
      { stdin = table.concat(statements, "\n") })
    assert(code == 0, err)
    local events = #statements - 1
    local errors, parked = apply("sqlite:" .. file .. "?layout=emmett",
      #taken)
    assert.equal(events - #taken - #beyond, errors)
    assert.equal(events - #taken, parked)
  end)

  it("is an event in a table of #postgres, if the server takes it", function()
    local server, reason = postgres.start()
    if not server then
      pending(reason)
      return
    end
    local database = server:new_database()
    local statements = { [[CREATE TABLE cases (position bigserial PRIMARY KEY,
      stream text NOT NULL, data text NOT NULL);]] }
    for i, text in ipairs(taken) do
      statements[#statements + 1] = ([[INSERT INTO cases (stream, data)
        VALUES ('s%d', convert_from('\x%s', 'UTF8'));]]):format(i, hex(text))
    end
    database:sql(table.concat(statements, "\n"))
    local errors = apply(database:with("layout=custom&table=cases"
      .. "&position=position&id=position&stream=stream&type=stream&data=data"
      .. "&safe_head=serialised"), #taken)
    assert.equal(0, errors)
  end)
end)
