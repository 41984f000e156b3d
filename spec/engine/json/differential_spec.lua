-- The codec against jansson, on documents that a generator makes from a seed.
--
-- They may differ where json_scan.h is stricter or says so:
--   nesting    we refuse what is deeper than 100, jansson deeper than 2048
--   "-0"       is -0.0 here and the integer 0 there
--   \u0000     is refused in a key by jansson
--   NUL        jansson passes over a raw one after a number or a word
--   integers   beyond 64 bits are doubles here, and refused by jansson

local helper = require "spec.helper"
local json = require "json_test"

-- ---- documents

local spaces = { "", "", "", "", " ", "\n", "\t", "\r\n", "  " }
local words = { "null", "true", "false" }
local integers = {
  "0", "-0", "1", "-1", "42", "9007199254740993", "9223372036854775807",
  "-9223372036854775808", "9223372036854775808", "-9223372036854775809",
  "99999999999999999999",
}
local floats = {
  "0.0", "-0.0", "0.1", "1e22", "1e23", "1E+5", "1e-5", "5e-324", "1e-400",
  "2.4703282292062328e-324", "1.7976931348623157e308", "1e308", "1e309",
  "9007199254740993.0", "123456789012345678901234567890.5",
}
local pieces = {
  "a", "b", "key", "a", "b", " ", "é", "😀", "\127", "/", "[", "{", ",",
  "\\n", "\\\\", "\\\"", "\\/", "\\b", "\\u0061", "\\u00e9", "\\u0000",
  "\\ud83d\\ude00", "\\ud800", "\\uD83D", "\\u12", "\\x", "\1", "\n",
  "\xff", "\xc3", "\xed\xa0\x80", "\xf0\x9f\x98\x80", "\xc0\xaf",
}
local harmless = 18 -- of the pieces: mostly these

local function add_digits(r, out, count)
  for _ = 1, count do
    out[#out + 1] = r:within(0, 9)
  end
end

local function add_number(r, out)
  local choice = r:within(0, 3)
  if choice == 0 then
    out[#out + 1] = r:pick(integers)
  elseif choice == 1 then
    out[#out + 1] = r:pick(floats)
  else
    out[#out + 1] = r:pick { "", "-" } .. r:within(0, 8) + 1
    add_digits(r, out, r:within(0, 17))
    if choice == 3 then
      out[#out + 1] = "."
      add_digits(r, out, r:within(0, 24) + 1)
      out[#out + 1] = r:pick { "", "", "e", "E-" }
      if out[#out] ~= "" then
        out[#out + 1] = r:within(0, 319)
      end
    end
  end
end

local function add_string(r, out)
  out[#out + 1] = '"'
  for _ = 1, r:within(0, 11) do
    local rare = r:within(0, 199) == 0
    out[#out + 1] = pieces[r:within(1, rare and #pieces or harmless)]
  end
  out[#out + 1] = '"'
end

local add_value

local function add_space(r, out)
  out[#out + 1] = r:pick(spaces)
end

local function add_items(r, out, depth, opening, closing)
  out[#out + 1] = opening
  add_space(r, out)
  for i = 1, r:within(0, r:pick { 1, 2, 3, 5, 39 }) do
    if i > 1 then
      out[#out + 1] = ","
    end
    if opening == "{" then
      add_space(r, out)
      add_string(r, out)
      -- mostly unlike the others
      out[#out] = r:within(0, 29) == 0 and '"' or i .. '"'
      add_space(r, out)
      out[#out + 1] = ":"
    end
    add_value(r, out, depth + 1)
  end
  out[#out + 1] = closing
end

function add_value(r, out, depth)
  local choice = r:within(0, depth > 3 and 5 or 9)
  add_space(r, out)
  if choice == 0 then
    out[#out + 1] = r:pick(words)
  elseif choice <= 2 then
    add_number(r, out)
  elseif choice <= 5 then
    add_string(r, out)
  elseif choice <= 7 then
    add_items(r, out, depth, "[", "]")
  else
    add_items(r, out, depth, "{", "}")
  end
  add_space(r, out)
end

local function document(r)
  local out = {}
  if r:within(0, 2) > 0 then
    add_items(r, out, 0, "{", "}")
  else
    add_value(r, out, 0)
  end
  return table.concat(out)
end

local bytes = {
  '"', "\\", "{", "}", "[", "]", ",", ":", "0", "1", "-", "+", ".", "e", "u",
  " ", "t", "\0", "\x1f", "\x80", "\xff",
}

-- One byte taken out, put in or replaced, or the end cut off.
local function mutate(r, text)
  local at = r:within(0, #text)
  local choice = r:within(0, 3)
  if choice == 0 then
    return text:sub(1, at) .. text:sub(at + 2)
  elseif choice == 1 then
    return text:sub(1, at) .. r:pick(bytes) .. text:sub(at + 1)
  elseif choice == 2 then
    return text:sub(1, at) .. r:pick(bytes) .. text:sub(at + 2)
  end
  return text:sub(1, at)
end

-- ---- comparing

-- 1 and 1.0 differ, nan is not there; -0.0 from "-0" was the integer 0.
local function equal(ours, theirs)
  if type(ours) ~= "table" or type(theirs) ~= "table" then
    if math.type(ours) == "float" and math.type(theirs) == "integer" then
      return theirs == 0 and 1 / ours < 0
    end
    return ours == theirs and math.type(ours) == math.type(theirs)
  end
  if json.is_array(ours) ~= json.is_array(theirs) then
    return false
  end
  for key, value in next, ours do
    if not equal(value, theirs[key]) then
      return false
    end
  end
  for key in next, theirs do
    if ours[key] == nil then
      return false
    end
  end
  return true
end

local function is_known_refusal(message)
  return message:find("NUL byte in object key not supported", 1, true)
    or message:find("too big", 1, true)
end

local function is_known_acceptance(text)
  return text:find("\0", 1, true)
end

-- Whether the text was accepted.
local function compare(text)
  local ok, ours = pcall(json.decode, text)
  local theirs, message = json.jansson(text)
  local checked, why = json.check(text)

  assert(ok == (checked or false), text)
  if not ok then
    assert(ours == why, text)
    assert(message or is_known_acceptance(text), text)
    return false
  end
  if message then
    assert(is_known_refusal(message), message .. " in " .. text)
    return true
  end
  assert(equal(ours, theirs), text)
  local again = json.encode(ours)
  assert(equal(json.decode(again), json.jansson(again)), text)
  assert(json.encode(json.decode(again)) == again, text)
  return true
end

describe("the codec and jansson", function()
  local first = helper.seed(1)
  for seed = first, first + 7 do
    it("agree on documents of seed " .. seed, function()
      local r = helper.random(seed)
      local accepted, refused = 0, 0
      for _ = 1, 1000 do
        local text = document(r)
        for _ = 1, 4 do
          if compare(text) then
            accepted = accepted + 1
          else
            refused = refused + 1
          end
          text = mutate(r, text)
        end
      end
      assert.is_true(accepted > 300 and refused > 300,
        accepted .. " accepted")
    end)
  end

  it("agree on small texts of all kinds", function()
    local alphabet = { "[", "]", "{", "}", '"a"', ":", ",", "1", "-", "." }
    local accepted = 0
    local function extend(text, left)
      if compare(text) then
        accepted = accepted + 1
      end
      for _, word in ipairs(left > 0 and alphabet or {}) do
        extend(text .. word, left - 1)
      end
    end
    extend("", 4)
    assert.is_true(accepted >= 15, accepted)
  end)

  it("differ in how deep they go", function()
    local text = ("["):rep(101) .. ("]"):rep(101)
    assert.is_nil(json.check(text))
    assert.is_table(json.jansson(text))
  end)

  it("differ in a raw NUL", function()
    assert.is_nil(json.check "[1\0]")
    assert.same({ 1 }, json.jansson "[1\0]")
  end)

  it("differ in keys with NUL", function()
    local text = '{"\\u0000":1}'
    assert.same({ ["\0"] = 1 }, json.decode(text))
    assert.is_nil(json.jansson(text))
  end)

  it("differ in negative zero", function()
    assert.equal("-0.0", tostring(json.decode "-0"))
    assert.equal("0", tostring(json.jansson "-0"))
  end)
end)
