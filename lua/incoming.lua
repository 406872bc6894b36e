-- Refuses instances by who sends them, how, and what they are, before Orthanc stores them.
--
-- Off until orthanc.json names it and says what to refuse; lua/README.md has the keys:
--
--   "LuaScripts": ["/path/to/orthanc-deid/lua/incoming.lua"],
--   "OrthancDeidIncoming": {
--     "RefuseAets": ["OLDCT"],
--     "RefuseModalities": ["PR", "KO"],
--     "OnlyAddresses": ["10.1.2.3"]
--   }
--
-- Runs after the plugin's door (plugin/orthanc_deid/door.py) and sees what that lets in, on arrival de-identified
-- already. It sees who sends, which the door does not; but what it refuses is kept nowhere, and a C-STORE sender is
-- told Success, a REST client "FilteredOut". To refuse and keep a copy, write a rule under intake.refuse in deid.yaml.

local SECTION = 'OrthancDeidIncoming'

local function trimmed(text)
   return (tostring(text or ''):gsub('^%s+', ''):gsub('[%s%z]+$', ''))
end

-- What is asked of an instance: the end of a key, and how its value is found; nil where the instance has none.
local function ofOrigin(wanted, field)
   return function(dicom, origin)
      return origin['RequestOrigin'] == wanted and (origin[field] or '') or nil
   end
end
local TRAITS = {
   Aets = ofOrigin('DicomProtocol', 'RemoteAet'),
   CalledAets = ofOrigin('DicomProtocol', 'CalledAet'),
   Modalities = function(dicom, origin) return dicom['Modality'] or '' end,
   Origins = function(dicom, origin) return origin['RequestOrigin'] end,
   Users = ofOrigin('RestApi', 'Username'),
   Addresses = function(dicom, origin) return origin['RemoteIp'] or '' end,
}
local OF_THE_WAY = {Origins = true, Users = true, Addresses = true}
local ORIGINS = {Unknown = true, DicomProtocol = true, RestApi = true, Plugins = true, Lua = true, WebDav = true}

-- Answers a set of texts; the start stops where it is none.
local function set(values, name)
   if type(values) ~= 'table' then
      error(SECTION .. '.' .. name .. ' in orthanc.json is not a list')
   end
   local found = {}
   for _, value in pairs(values) do
      if type(value) ~= 'string' then
         error(SECTION .. '.' .. name .. ' in orthanc.json holds something else than texts')
      end
      if name:find('Origins$') and not ORIGINS[value] then
         error(SECTION .. '.' .. name .. ' in orthanc.json: no origin is called ' .. value)
      end
      found[value] = true
   end
   return found
end

local configuration = GetOrthancConfiguration()
local refused, only, onlyDeidentified = {}, {}, nil
for key, values in pairs(configuration[SECTION] or {}) do
   local kind, trait = tostring(key):match('^(Refuse)(.+)$')
   if not kind then
      kind, trait = tostring(key):match('^(Only)(.+)$')
   end
   if key == 'OnlyDeidentified' then
      if type(values) ~= 'boolean' then
         error(SECTION .. '.OnlyDeidentified in orthanc.json is not true or false')
      end
      onlyDeidentified = values
   elseif kind and TRAITS[trait] then
      (kind == 'Refuse' and refused or only)[trait] = set(values, key)
   else
      error('unknown key in ' .. SECTION .. ' of orthanc.json: ' .. tostring(key))
   end
end

-- The plugin's own requests carry its token and have no user; nobody else can come in without one.
local hasUsers = configuration['AuthenticationEnabled'] == true
local function isOurs(origin)
   return hasUsers and origin['RequestOrigin'] == 'RestApi' and trimmed(origin['Username']) == ''
end

local function valueOf(trait, dicom, origin)
   if OF_THE_WAY[trait] and isOurs(origin) then
      return nil
   end
   return TRAITS[trait](dicom, origin)
end

-- Orthanc's name: false means that the instance is not stored.
function ReceivedInstanceFilter(dicom, origin, info)
   for trait, values in pairs(refused) do
      local value = valueOf(trait, dicom, origin)
      if value and values[trimmed(value)] then
         return false
      end
   end
   for trait, values in pairs(only) do
      local value = valueOf(trait, dicom, origin)
      if value and next(values) and not values[trimmed(value)] then
         return false
      end
   end
   return not onlyDeidentified or trimmed(dicom['DeidentificationMethod']):find('^Orthanc De%-ID') ~= nil
end
