local json = require "json_test"

local function nested(opening, depth, inner, closing)
  return opening:rep(depth) .. inner .. closing:rep(depth)
end

local valid = {
  "null", "true", "false", '""', "[]", "{}", "0", "-1", "1.5", '"x"',
  " \t\r\n[ \t\r\n1 \t\r\n, \t\r\n2 \t\r\n] \t\r\n",
  '{ "a" : 1 , "b" : [ ] }',
  '{"":0}', '{"a":{"a":{"a":1}}}', '[{"a":1},{"a":1}]',
  '{"a":1,"A":2,"a ":3}', '{"\\u0000":1,"\\u0001":2}',
  "[0,-0,0.0,-0.0,0e0,0E+0,0e-0]", "1e5", "1E5", "1e+5", "1e-5", "1.0e05",
  "123456789012345678", "9223372036854775807", "-9223372036854775808",
  "1.7976931348623157e308", "-1.7976931348623157e308", "4.9e-324",
  "1e-400", "0e99999999999999999999", "0.0000000e-99999999999999999999",
  "0." .. ("0"):rep(1000) .. "1e1000", "1" .. ("0"):rep(1000) .. ".0e-1000",
  "-0." .. ("0"):rep(1097), "[0." .. ("0"):rep(1099) .. "]",
  "9223372036854775808", "[-9223372036854775809]", "18446744073709551616",
  ("1"):rep(308), "0e" .. ("0"):rep(1098) .. "1", ("9"):rep(5000) .. "e-4900",
  '"\\"\\\\\\/\\b\\f\\n\\r\\t"', '"\\u00e9\\u00E9\\u0000"',
  '"\\ud83d\\ude00"', '"\\uD83D\\uDE00"', '"\\uffff\\ufffe\\ufdd0"',
  '"/"', '"\127"', '"\u{80}\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}"',
  '"\u{d7ff}\u{e000}"', '"\\\\u0000"', '"a\\\\"', '"[{]},:"',
  '"1234567\\""', '"12345678"', '"1234567é"',
  nested("[", 100, "", "]"), nested('{"a":', 100, "1", "}"),
}

-- Numbers beyond every double, which have the form of JSON, and where.
local too_large = {
  { "1e309", 1 }, { "[1,-1e999999999999999999999]", 4 },
  { '{"a":1.7976931348623159e308}', 6 }, { ("9"):rep(400) .. ".5", 1 },
  { ("9"):rep(1097) .. "e-9", 1 }, { ("1"):rep(5000), 1 },
  { '{"a":[-' .. ("1"):rep(310) .. "]}", 7 },
}

-- What, and the byte at which it is found.
local invalid = {
  { "{\0}\0", 2, "UTF-16 or UTF-32, and not UTF-8" },
  { "\xfe\xff\0{\0}", 1, "UTF-16 or UTF-32, and not UTF-8" },
  { "", 1, "the text ends too early" },
  { "  ", 3, "the text ends too early" },
  { "[", 2, "the text ends too early" },
  { "[1", 3, "the text ends too early" },
  { "[1,", 4, "the text ends too early" },
  { "{", 2, "the text ends too early" },
  { '{"a"', 5, "the text ends too early" },
  { '{"a":', 6, "the text ends too early" },
  { '{"a":1', 7, "the text ends too early" },
  { '{"a":1,', 8, "the text ends too early" },
  { "]", 1, "expected a value" },
  { "[,1]", 2, "expected a value" },
  { "[1,]", 4, "expected a value" },
  { "[1,,2]", 4, "expected a value" },
  { "[1 2]", 4, "expected , or ]" },
  { "[1}", 3, "expected , or ]" },
  { '{"a":1,}', 8, "expected a key" },
  { "{,}", 2, "expected a key" },
  { "{a:1}", 2, "expected a key" },
  { "{1:1}", 2, "expected a key" },
  { "{'a':1}", 2, "expected a key" },
  { '{"a" 1}', 6, "expected :" },
  { '{"a":}', 6, "expected a value" },
  { '{"a":1 "b":2}', 8, "expected , or }" },
  { '{"a":1]', 7, "expected , or }" },
  { "1 2", 3, "something after the value" },
  { "[]]", 3, "something after the value" },
  { "{}{}", 3, "something after the value" },
  { "null\0", 5, "something after the value" },
  { "1 // one", 3, "something after the value" },
  { "/* */ 1", 1, "expected a value" },
  { "\u{feff}1", 1, "a byte order mark" },
  { "\f1", 1, "expected a value" },
  { "\u{a0}1", 1, "expected a value" },
  { "nul", 1, "unknown word" },
  { "True", 1, "expected a value" },
  { "truE", 1, "unknown word" },
  { "nullx", 5, "something after the value" },
  { "NaN", 1, "expected a value" },
  { "Infinity", 1, "expected a value" },
  { "-Infinity", 2, "digits expected" },
  { "-", 2, "digits expected" },
  { "--1", 2, "digits expected" },
  { "+1", 1, "expected a value" },
  { ".5", 1, "expected a value" },
  { "-.5", 2, "digits expected" },
  { "00", 1, "a number must not begin with 0" },
  { "-012", 2, "a number must not begin with 0" },
  { "0x1", 2, "something after the value" },
  { "1.", 3, "digits expected after the decimal point" },
  { "1.e1", 3, "digits expected after the decimal point" },
  { "1.5.2", 4, "something after the value" },
  { "1e", 3, "digits expected in the exponent" },
  { "1e+", 4, "digits expected in the exponent" },
  { "1e5.5", 4, "something after the value" },
  { "1_000", 2, "something after the value" },
  { '"', 2, "the string does not end" },
  { '"a', 3, "the string does not end" },
  { '"a\\', 4, "the string does not end" },
  { '"a\\"', 5, "the string does not end" },
  { "'a'", 1, "expected a value" },
  { '"a\nb"', 3, "raw control character in a string" },
  { '"\0"', 2, "raw control character in a string" },
  { '"1234567\31"', 9, "raw control character in a string" },
  { '"\\x41"', 2, "unknown escape" },
  { '"\\U0041"', 2, "unknown escape" },
  { '"\\\0"', 2, "unknown escape" },
  { '"\\\'"', 2, "unknown escape" },
  { '"\\u12"', 2, "\\u without four hex digits" },
  { '"\\u12g4"', 2, "\\u without four hex digits" },
  { '"\\u', 2, "\\u without four hex digits" },
  { '"\\u+123"', 2, "\\u without four hex digits" },
  { '"\\ud800"', 2, "lone surrogate" },
  { '"a\\udc00"', 3, "lone surrogate" },
  { '"\\ud800\\ud800"', 2, "lone surrogate" },
  { '"\\ud800\\n"', 2, "lone surrogate" },
  { '"\\ud800\\u', 2, "lone surrogate" },
  { '"\\udc00\\ud800"', 2, "lone surrogate" },
  { '"\x80"', 2, "invalid UTF-8" },
  { '"a\xff"', 3, "invalid UTF-8" },
  { '"\xc3', 2, "invalid UTF-8" },
  { '"\xc3"', 2, "invalid UTF-8" },
  { '"\xc0\x80"', 2, "invalid UTF-8" },
  { '"\xc1\xbf"', 2, "invalid UTF-8" },
  { '"\xe0\x9f\xbf"', 2, "invalid UTF-8" },
  { '"\xed\xa0\x80"', 2, "invalid UTF-8" },
  { '"\xed\xbf\xbf"', 2, "invalid UTF-8" },
  { '"\xe2\x82"', 2, "invalid UTF-8" },
  { '"\xf0\x8f\xbf\xbf"', 2, "invalid UTF-8" },
  { '"\xf4\x90\x80\x80"', 2, "invalid UTF-8" },
  { '"\xf5\x80\x80\x80"', 2, "invalid UTF-8" },
  { '"\xf0\x9f\x98"', 2, "invalid UTF-8" },
  { '{"\xff":1}', 3, "invalid UTF-8" },
  { '{"a":1,"a":2}', 8, "duplicate key" },
  { '{"":1,"":2}', 7, "duplicate key" },
  { '{"a":1,"\\u0061":2}', 8, "duplicate key" },
  { '{"\\u0061":1,"a":2}', 13, "duplicate key" },
  { '{"\\u00e9":1,"é":2}', 13, "duplicate key" },
  { '{"\\ud83d\\ude00":1,"😀":2}', 19, "duplicate key" },
  { '{"a\\/":1,"a/":2}', 10, "duplicate key" },
  { '[{"x":{"b":0,"a":1,"b":2}}]', 20, "duplicate key" },
  { '{"a":1,"b":{"c":[{}]},"a":2}', 23, "duplicate key" },
  { nested("[", 101, "", "]"), 101, "nested too deep" },
  { nested('{"a":', 101, "1", "}"), 501, "nested too deep" },
  { ("["):rep(100000), 101, "nested too deep" },
}

local function show(text)
  return #text < 60 and ("%q"):format(text) or text:sub(1, 60) .. "..."
end

describe("JSON", function()
  for _, text in ipairs(valid) do
    it("accepts " .. show(text), function()
      assert.is_true(json.check(text))
      json.decode(text)
    end)
  end

  for _, case in ipairs(invalid) do
    local text, byte, what = case[1], case[2], case[3]
    local message = ("invalid JSON at byte %d: %s"):format(byte, what)

    it("refuses " .. show(text), function()
      local ok, found, code = json.check(text)
      assert.is_nil(ok)
      assert.same({ message, "invalid" }, { found, code })
      ok, found = pcall(json.decode, text)
      assert.is_false(ok)
      assert.equal(message, found)
      assert.is_nil((json.check_form(text)))
    end)
  end

  for _, case in ipairs(too_large) do
    local text, byte = case[1], case[2]
    local message = ("invalid JSON at byte %d: number too large"):format(byte)

    it("refuses " .. show(text) .. " as a value, but not its form", function()
      assert.equal(message, select(2, json.check(text)))
      assert.equal(message, select(2, pcall(json.decode, text)))
      assert.is_true(json.check_form(text))
      if text:sub(1, 1) == "{" then
        assert.equal(1, #json.members(text))
      end
    end)
  end
end)

-- {"k1":1,"k2":2 ...}, and whatever comes after
local function wide(count, more)
  local members = {}
  for i = 1, count do
    members[i] = ('"k%d":%d'):format(i, i)
  end
  return "{" .. table.concat(members, ",") .. (more or "") .. "}"
end

describe("duplicate keys", function()
  for _, count in ipairs { 1, 15, 16, 17, 31, 32, 33, 34, 64, 65, 1000 } do
    it("are found after " .. count .. " members", function()
      assert.is_true(json.check(wide(count)))
      for _, key in ipairs { 1, count // 2 + 1, count } do
        local text = wide(count, ('  ,"k%d":0'):format(key))
        local byte = #wide(count) + 3
        local message = "invalid JSON at byte %d: duplicate key"
        assert.equal(message:format(byte), select(2, json.check(text)))
        assert.equal(message:format(byte),
          select(2, pcall(json.decode, text)))
        assert.equal(message:format(byte + 6),
          select(2, json.check('{"x":' .. " " .. text .. "}")))
      end
    end)
  end

  it("are found behind escapes in a large object", function()
    local text = wide(100, [[,"\u006b7":0]])
    assert.equal("invalid", select(3, json.check(text)))
    assert.is_false(pcall(json.decode, text))
    text = '{"\\u006b9":0,' .. wide(100):sub(2)
    assert.equal("invalid", select(3, json.check(text)))
    assert.is_false(pcall(json.decode, text))
  end)

  it("are looked for in time that grows with the text only", function()
    local text = wide(200000)
    local start = os.clock()
    assert.is_true(json.check(text))
    assert.is_true(json.check("[" .. text .. "]"))
    assert.equal(200000, json.decode(text).k200000)
    assert.is_true(os.clock() - start < 20) -- in pairs it would take minutes
  end)
end)

describe("members", function()
  it("are listed in order, with the text of their values", function()
    local text = ' { "b" : 1 , "a\\n":"x\\ty", "c":"é","d":[1, {"b":2}] ,'
      .. '"e":-0,"f":2.5e1,"g":null,"h":true,"i":false,"j":{ } } '
    local expected = {
      { "b", "1", "integer" },
      { "a\\n", '"x\\ty"', "string", true, true },
      { "c", '"é"', "string" },
      { "d", '[1, {"b":2}]', "array" },
      { "e", "-0", "number" },
      { "f", "2.5e1", "number" },
      { "g", "null", "null" },
      { "h", "true", "true" },
      { "i", "false", "false" },
      { "j", "{ }", "object" },
    }
    for i, case in ipairs(expected) do
      expected[i] = {
        key = case[1],
        value = case[2],
        kind = case[3],
        key_escaped = case[4] or false,
        value_escaped = case[5] or false,
      }
    end
    assert.same(expected, json.members(text))
    assert.same(expected, json.walk(text))
  end)

  it("are none in an empty object", function()
    assert.same({}, json.members " { } ")
    assert.same({}, json.walk " { } ")
  end)

  it("that do not fit are counted", function()
    local list, message, code, count = json.members(wide(5), 3)
    assert.is_nil(list)
    assert.equal("no room for 5 members", message)
    assert.same({ "no_memory", 5 }, { code, count })
    assert.equal(5, #json.members(wide(5), 5))
  end)

  it("belong to objects only", function()
    for _, text in ipairs { "[]", "1", "null", '"{}"' } do
      local list, _, code = json.members(text)
      assert.is_nil(list)
      assert.equal("not_found", code)
    end
  end)

  it("are refused with what is wrong with the text", function()
    for _, case in ipairs(invalid) do
      local _, message, code = json.members(case[1])
      assert.equal("invalid", code)
      assert.equal(select(2, json.check(case[1])), message)
    end
    local _, message = json.members '{"a":1,"b":2,"b":3}'
    assert.equal("invalid JSON at byte 14: duplicate key", message)
  end)

  it("are found by their decoded key", function()
    local text = '{"a":1,"\\u0062":2,"\\ud83d\\ude00!":3,"a\\/b":4,"":5}'
    for key, value in pairs {
      a = "1",
      b = "2",
      ["😀!"] = "3",
      ["a/b"] = "4",
      [""] = "5",
    } do
      assert.equal(value, json.find(text, key).value)
    end
    for _, key in ipairs { "c", "\\u0062", "😀", "😀!!", "a\\/b", "aa" } do
      assert.is_nil(json.find(text, key))
    end
  end)
end)

describe("elements", function()
  local function list(text)
    local values, kinds = {}, {}
    for i, element in ipairs(json.elements(text)) do
      values[i], kinds[i] = element.value, element.kind
    end
    return table.concat(values, "|"), table.concat(kinds, " ")
  end

  it("are taken one by one", function()
    local text = ' [1 , -0,1.5,1E2,"a,\\"]" ,[[1],[2]],{"x":"}"},null,'
      .. "true,false, [ ],9223372036854775808 ] "
    local values, kinds = list(text)
    assert.equal('1|-0|1.5|1E2|"a,\\"]"|[[1],[2]]|{"x":"}"}|null|true|false'
      .. "|[ ]|9223372036854775808", values)
    assert.equal("integer number number number string array object null "
      .. "true false array number", kinds)
  end)

  it("are none in an empty array", function()
    assert.equal("", (list "[]"))
    assert.equal("", (list " [ ] "))
  end)

  it("may begin with an array", function()
    assert.equal("[[1]]|[]", (list "[[[1]],[]]"))
  end)
end)

describe("a string in valid JSON", function()
  it("is unescaped with its quotes and without", function()
    assert.equal('a"\\/\b\f\n\r\t\0é😀',
      json.unescape [["a\"\\\/\b\f\n\r\t\u0000\u00e9\ud83d\ude00"]])
    assert.equal('a"', json.unescape [[a\"]])
    assert.equal('"', json.unescape [[\"]])
    assert.equal("", json.unescape '""')
    assert.equal("", json.unescape "")
  end)

  it("holds every code point", function()
    for point = 0, 0xFFFF do
      if point < 0xD800 or point > 0xDFFF then
        local text = ("\\u%04x"):format(point)
        assert(json.unescape(text) == utf8.char(point), text)
      end
    end
    for point = 0x10000, 0x10FFFF, 257 do
      local text = ("\\u%04x\\u%04x"):format(
        0xD800 + (point - 0x10000 >> 10), 0xDC00 + (point & 0x3FF))
      assert(json.unescape(text) == utf8.char(point), text)
    end
  end)
end)

-- Every digit of 2^-n, which are those of 5^n.
local function power_of_half(n)
  local digits = { 1 }
  for _ = 1, n do
    local carry = 0
    for i = 1, #digits do
      carry = carry + digits[i] * 5
      digits[i] = carry % 10
      carry = carry // 10
    end
    digits[#digits + 1] = carry > 0 and carry or nil
  end
  local text = table.concat(digits):reverse()
  return "0." .. ("0"):rep(n - #text) .. text
end

describe("a number in valid JSON", function()
  it("is an exact integer", function()
    for _, integer in ipairs {
      0, 1, -1, 2^53 | 0, (2^53 | 0) + 1, math.maxinteger, math.mininteger,
    } do
      assert.equal(integer, json.integer(tostring(integer)))
    end
  end)

  it("is the nearest double", function()
    for _, text in ipairs {
      "0.1", "1e22", "1e23", "123456789012345678", "9007199254740993",
      "9007199254740993.0", "9007199254740992.9999999999999999999999",
      "9007199254740993.0000000000000000000000000000000000001",
      "2.2250738585072011e-308", "2.2250738585072014e-308", "5e-324",
      "2.4703282292062327e-324", "2.4703282292062328e-324", "1e-5000",
      "1.7976931348623158e308", "8.5e15", "3.14159265358979323846264338328",
    } do
      assert.equal(tonumber(text) + 0.0, json.number(text))
    end
    assert.equal("-inf", tostring(1 / json.number "-0"))
    assert.equal("-inf", tostring(1 / json.number "-0.0e5"))
  end)

  it("is rounded by all of its digits", function()
    local half = "9007199254740993" -- in the middle of two doubles
    local zeros = ("0"):rep(500)
    assert.equal(2^53, json.number(half .. "." .. zeros .. "0"))
    assert.equal(2^53 + 2, json.number(half .. "." .. zeros .. "1"))
    assert.equal(2^53 + 2,
      json.number("0." .. zeros .. half .. zeros .. "1e516"))
    assert.equal(2^53, json.number("0." .. zeros .. half .. zeros .. "e516"))
    assert.equal(5e-324, json.number(power_of_half(1074)))
    assert.equal(0.0, json.number(power_of_half(1075)))
    assert.equal(5e-324, json.number(power_of_half(1075) .. "00001"))
    assert.equal(2^53 + 2, json.number(half .. "." .. zeros:rep(100) .. "1"))
    assert.equal(1e20, json.number("1" .. ("0"):rep(5000) .. "e-4980"))
    assert.equal(math.huge, json.number(("9"):rep(5000)))
  end)

  it("beyond 64 bits is a float", function()
    for text, kind in pairs {
      ["9223372036854775807"] = "integer",
      ["-9223372036854775808"] = "integer",
      ["9223372036854775808"] = "float",
      ["-9223372036854775809"] = "float",
      ["100000000000000000000"] = "float",
      ["18446744073709551617"] = "float",
    } do
      assert.equal(kind, math.type(json.decode(text)), text)
      assert.equal(tonumber(text), json.decode(text))
      assert.equal(tonumber(text), json.decode('{"a":[' .. text .. "]}").a[1])
    end
  end)

  it("has a whole number at or below it, by all of its digits", function()
    for text, floor in pairs {
      ["0"] = { 0, true }, ["-0"] = { 0, true }, ["-0.0e9"] = { 0, true },
      ["3.0"] = { 3, true }, ["3.1"] = { 3, false }, ["-3.1"] = { -4, false },
      ["0.1e1"] = { 1, true }, ["1E+2"] = { 100, true },
      ["12300e-2"] = { 123, true }, ["12345e-2"] = { 123, false },
      ["5e-324"] = { 0, false }, ["-5e-324"] = { -1, false },
      ["1e-999999999999999999999"] = { 0, false },
      ["0e999999999999999999999"] = { 0, true },
      ["9007199254740993.0"] = { 9007199254740993, true },
      ["9007199254740993." .. ("0"):rep(2000)] = { 9007199254740993, true },
      ["9007199254740993." .. ("0"):rep(2000) .. "1"] =
        { 9007199254740993, false },
      ["9.223372036854775807e18"] = { math.maxinteger, true },
      ["-9.223372036854775808e18"] = { math.mininteger, true },
      ["9223372036854775807.9"] = { math.maxinteger, false },
    } do
      assert.same(floor, { json.floor(text) }, text)
    end
    for _, text in ipairs {
      "9223372036854775808", "-9223372036854775809", "1e19", "1e400",
      "-9223372036854775808.1", "0.1e20", "1e999999999999999999999",
    } do
      assert.same({}, { json.floor(text) }, text)
    end
  end)
end)

describe("UTF-8", function()
  it("is valid for every code point but the surrogates", function()
    for point = 0, 0x10FFFF, 7 do
      local surrogate = point >= 0xD800 and point <= 0xDFFF
      assert(json.utf8_valid(utf8.char(point)) == not surrogate, point)
    end
  end)

  it("is what Lua's own decoder accepts, for all short sequences", function()
    for lead = 0xBF, 0xF8 do
      for second = 0x70, 0xCF do
        for _, rest in ipairs { "", "\x80", "\xbf\x80", "\x80\x80\x80" } do
          local bytes = string.char(lead, second) .. rest
          assert(json.utf8_valid(bytes) == (utf8.len(bytes) ~= nil), bytes)
        end
      end
    end
  end)

  it("may be empty, or wrong at any place", function()
    assert.is_true(json.utf8_valid "")
    for length = 1, 40 do
      for at = 1, length do
        local bytes = ("a"):rep(at - 1) .. "\xff" .. ("a"):rep(length - at)
        assert.is_false(json.utf8_valid(bytes))
      end
    end
  end)

  it("may end with any character, and not within one", function()
    for length = 0, 20 do
      local plain = ("a"):rep(length)
      for _, character in ipairs { "é", "☾", "🎈" } do
        assert.is_true(json.utf8_valid(plain .. character))
        assert.is_true(json.utf8_valid(character .. plain))
        assert.is_false(json.utf8_valid(plain .. character:sub(1, -2)))
        assert.is_false(json.utf8_valid(character:sub(2) .. plain))
      end
    end
  end)
end)
