// What the entries in Orthanc Explorer ask of the service: JSON, and files that may still have to be made.
// ES5, since Orthanc Explorer may be opened in any browser; all of it hangs on one global name.
(function () {
  'use strict';

  var PART_TIMEOUT_MS = 600000;
  var TRIES = 5; // of one part: once the first is there the file is made, and only the way can fail
  var MEGABYTE = 1e6;
  var deid = window.orthancDeid = {
    partBytes: 32 * 1024 * 1024 // Orthanc keeps a whole answer in memory
  };

  // Calls success(answer) or failure(status, text); status 0: nobody answered.
  deid.ask = function (method, path, body, success, failure) {
    $.ajax({
      type: method, url: '../' + path, dataType: 'json', cache: false, timeout: 30000,
      contentType: 'application/json', data: method === 'POST' ? JSON.stringify(body || {}) : undefined,
      success: success,
      error: function (request) { failure(request.status, problemOf(request.responseText)); }
    });
  };

  function problemOf(text) {
    var problem = {};
    try {
      problem = JSON.parse(text) || {};
    } catch (e) { /* no problem JSON: Orthanc itself is away */ }
    return String(problem.detail || problem.title || 'no answer');
  }

  // Fetches a file and calls on.progress(text), and in the end on.done(blob, name) or on.failed(text).
  // A conversion that is not ready is asked for again; answers the function that stops it all.
  deid.getFile = function (path, inParts, on) {
    var file = { url: '../' + path, inParts: inParts, on: on, parts: [], bytes: 0, tries: 0, told: 0 };
    on.progress('asking for it…');
    requestPart(file);
    return function () {
      window.clearTimeout(file.timer);
      file.request.onload = file.request.onerror = file.request.ontimeout = file.request.onprogress = null;
      file.request.abort();
    };
  };

  function requestPart(file) {
    var request = new XMLHttpRequest();
    var url = file.url + '?_=' + $.now(); // else a browser may answer from its memory
    file.request = request;
    request.open('GET', file.inParts ? url + '&offset=' + file.bytes + '&count=' + deid.partBytes : url);
    request.responseType = 'blob';
    request.timeout = PART_TIMEOUT_MS;
    request.onprogress = function (event) { tellProgress(file, request, event); };
    request.onload = function () { takeAnswer(file, request); };
    request.onerror = request.ontimeout = function () { tryAgain(file, 'no answer'); };
    request.send();
  }

  function takeAnswer(file, request) {
    if (request.status === 200) {
      takePart(file, request);
    } else if (request.status === 202) {
      file.on.progress('converting…');
      later(file, secondsOf(request));
    } else {
      readText(request.response, function (text) {
        if (request.status >= 502) {
          tryAgain(file, problemOf(text));
        } else {
          file.on.failed(problemOf(text));
        }
      });
    }
  }

  function takePart(file, request) {
    var etag = (request.getResponseHeader('ETag') || '').replace(/^W\//, '');
    if (file.bytes && etag !== file.etag) {
      file.on.failed('it has changed while it was being fetched; ask for it again');
      return;
    }
    file.etag = etag;
    file.tries = 0;
    file.parts.push(request.response);
    file.bytes += request.response.size;
    if (file.inParts && request.response.size >= deid.partBytes) {
      requestPart(file);
    } else {
      file.on.done(new Blob(file.parts, { type: request.response.type }), nameOf(request, file.url));
    }
  }

  // What has failed before the first byte would only be made a second time: that is left to people.
  function tryAgain(file, text) {
    file.tries += 1;
    if (!file.bytes || file.tries >= TRIES) {
      file.on.failed(text);
      return;
    }
    file.on.progress(text + '; trying again…');
    later(file, file.tries);
  }

  function later(file, seconds) {
    file.timer = window.setTimeout(function () { requestPart(file); }, seconds * 1000);
  }

  function secondsOf(request) {
    var seconds = parseInt(request.getResponseHeader('Retry-After'), 10);
    return Math.min(Math.max(seconds || 2, 1), 30);
  }

  // How large all parts are is known with the last one only, and not where Orthanc compresses the answer.
  function tellProgress(file, request, event) {
    var whole = Number(request.getResponseHeader('X-Deid-Size'));
    if (request.status !== 200 || $.now() - file.told < 1000) {
      return; // more often than once a second nobody can listen to it
    }
    file.told = $.now();
    file.on.progress(megabytes(file.bytes + event.loaded) + ' of ' +
      (whole ? megabytes(whole) : '?') + ' MB');
  }

  function megabytes(bytes) {
    return (bytes / MEGABYTE).toFixed(bytes < 10 * MEGABYTE ? 1 : 0);
  }

  deid.sizeOf = function (blob) {
    return blob.size < MEGABYTE / 10 ? Math.ceil(blob.size / 1000) + ' kB' : megabytes(blob.size) + ' MB';
  };

  function nameOf(request, url) {
    var match = /filename="?([^";]+)/.exec(request.getResponseHeader('Content-Disposition') || '');
    var name = match ? match[1] : url.replace(/.*\//, '') + '.' + (request.response.type.split('/')[1] || 'zip');
    return name.replace(/[^A-Za-z0-9._-]+/g, '_').replace(/^\.+/, '');
  }

  function readText(blob, callback) {
    var reader = new FileReader();
    reader.onloadend = function () { callback(String(reader.result)); };
    reader.readAsText(blob);
  }

  deid.save = function (blob, name) {
    var url = URL.createObjectURL(blob);
    // rel=external: without it jQuery Mobile would load the file as a page.
    var link = $('<a>').attr({ href: url, download: name, rel: 'external' }).hide().appendTo('body');
    link[0].click();
    link.remove();
    window.setTimeout(function () { URL.revokeObjectURL(url); }, 60000);
  };
}());
